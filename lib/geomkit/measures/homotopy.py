"""Lasso paths by homotopy on a Gram matrix, compiled: what `geomkit.measures.selection.lasso_paths` runs.

Between two events the weights of the active tokens, and the correlations of all tokens with the residual, are linear in the
penalty. At an event a token comes in, since its correlation has reached the penalty, or leaves, since its weight has reached 0.
Weights and correlations are computed anew after every event, so that rounding does not add up. Of events at one penalty (ties)
the latest token's comes first: with a fixed order ties come to an end (Murty 1974; they are a linear complementarity problem).
Source: Osborne, Presnell, Turlach 2000; Efron, Hastie, Johnstone, Tibshirani 2004.
"""

import numpy as np
from numba import njit

ROUNDING = 32 * float(np.finfo(np.float64).eps)
SHORTEST = 1e-12
"""A stretch of the path shorter than this part of the largest penalty has no middle."""
EVENTS = 16
"""For each candidate, where a whole path takes about two: a path with more is given up, and the budgets that it has not reached
keep fewer tokens."""


def compiled(function):
    """Machine code, kept on disk beside this file or in the user's cache folder; not kept where neither can be written."""
    try:
        return njit(cache=True)(function)
    except RuntimeError:
        return njit(function)


@compiled
def forward(factor, x):
    """R^-T x, in place."""
    for i in range(x.size):
        x[i] /= factor[i, i]
        for j in range(i + 1, x.size):
            x[j] -= factor[i, j] * x[i]


@compiled
def backward(factor, x):
    """R^-1 x, in place."""
    for i in range(x.size - 1, -1, -1):
        known = 0.0
        for j in range(i + 1, x.size):
            known += factor[i, j] * x[j]
        x[i] = (x[i] - known) / factor[i, i]


@compiled
def append(gram, active, token, moment, sign, factor, fit, push):
    """Brings one token more into R^T R = G of the active ones, fit = R^-T b of their moments and push = R^-T s of their signs.

    False if it depends linearly on them: its squared distance from their span is no more than what rounding of the Gram matrix,
    and its weights on them, make of 0.
    """
    size, own = active.size, gram[token, token]
    column = np.empty(size)
    for i in range(size):
        column[i] = gram[token, active[i]]
    forward(factor, column)
    distance, rest, pull = own, moment, sign
    for i in range(size):
        factor[i, size] = column[i]
        distance -= column[i] * column[i]
        rest -= column[i] * fit[i]
        pull -= column[i] * push[i]
    backward(factor, column)
    extent = np.sqrt(own)
    for i in range(size):
        extent += abs(column[i]) * np.sqrt(gram[active[i], active[i]])
    if distance <= ROUNDING * extent * extent:
        return False
    root = np.sqrt(distance)
    factor[size, size], fit[size], push[size] = root, rest / root, pull / root
    return True


@compiled
def remove(place, active, sign, factor, fit, push):
    """Takes the token at a place of the active ones out of them and of R, R^-T b and R^-T s, by Givens rotations."""
    last = active.size - 1
    for i in range(place, last):
        active[i], sign[i] = active[i + 1], sign[i + 1]
    for i in range(last + 1):
        for j in range(max(place, i - 1), last):
            factor[i, j] = factor[i, j + 1]
    for i in range(place, last):
        root = np.hypot(factor[i, i], factor[i + 1, i])
        cosine, sine = factor[i, i] / root, factor[i + 1, i] / root
        for j in range(i, last):
            above, below = factor[i, j], factor[i + 1, j]
            factor[i, j], factor[i + 1, j] = cosine * above + sine * below, cosine * below - sine * above
        fit[i], fit[i + 1] = cosine * fit[i] + sine * fit[i + 1], cosine * fit[i + 1] - sine * fit[i]
        push[i], push[i + 1] = cosine * push[i] + sine * push[i + 1], cosine * push[i + 1] - sine * push[i]


@compiled
def subtract(gram, active, weight, slope, correlation, drift):
    """c - sum_i w_i G_i and the same of the slopes, in place, over the active tokens i and at every candidate."""
    for i in range(active.size):
        row, w, v = gram[active[i]], weight[i], slope[i]
        for j in range(correlation.size):
            correlation[j] -= w * row[j]
            drift[j] -= v * row[j]


@compiled
def next_event(level, tie, correlation, drift, parallel, closed, active, sign, weight, slope):
    """How far the penalty falls until the next event, and whose it is; of events within a tie the latest token's.

    A correlation that falls just as the penalty does never leaves it, or never reaches it. So it is for tokens that depend
    linearly on the active ones, repeated tokens among them, and rounding must not let them in.
    """
    step, token = np.inf, -1
    for j in range(correlation.size):
        above, below = 1 + drift[j], 1 - drift[j]
        if above > parallel and level - correlation[j] <= (step + tie) * above and not closed[j]:
            step, token = (level - correlation[j]) / above, j
        if below > parallel and level + correlation[j] <= (step + tie) * below and not closed[j]:
            step, token = (level + correlation[j]) / below, j
    for i in range(active.size):
        if sign[i] * slope[i] < 0:
            reach = -weight[i] / slope[i]
            if reach < step - tie or (reach <= step + tie and active[i] > token):
                step, token = reach, active[i]
    return max(step, 0.0), token


@compiled
def record(active, weight, level, budgets, found, penalty, indices, weights):
    """Keeps a solution for the budgets that it fits and that have fewer tokens so far; at the end of the path, where the penalty
    is 0, for all that it fits and that are not reached."""
    held = np.flatnonzero(np.abs(weight) > ROUNDING * np.abs(weight).sum())
    for k in range(budgets.size):
        if held.size <= budgets[k] and (found[k] < held.size or (level == 0 and found[k] < budgets[k])):
            found[k], penalty[k] = held.size, level
            indices[k], weights[k] = -1, 0.0
            indices[k, : held.size], weights[k, : held.size] = active[held], weight[held]


@compiled
def follow(gram, target, budgets, penalty, indices, weights):
    """One target's path, to its end or until every budget is reached. The candidates are all tokens before the target."""
    moment, longest = gram[target, :target], np.diag(gram)[:target].max()
    highest = np.abs(moment).max()
    penalty[:], indices[:], weights[:] = highest, -1, 0.0
    if highest <= ROUNDING * np.sqrt(longest * gram[target, target]):
        return
    factor, fit, push = np.empty((target, target)), np.empty(target), np.empty(target)
    tokens, signs, closed = np.empty(target, np.int64), np.empty(target), np.zeros(target, np.bool_)
    correlation, drift, found = np.empty(target), np.empty(target), np.zeros_like(budgets)
    size, level, tie, shortest = 0, highest, ROUNDING * highest, SHORTEST * highest
    for _ in range(EVENTS * target):
        active, sign = tokens[:size], signs[:size]
        weight, slope = fit[:size] - level * push[:size], push[:size].copy()
        backward(factor, weight)
        backward(factor, slope)
        correlation[:], drift[:] = moment, 0.0
        subtract(gram, active, weight, slope, correlation, drift)
        parallel = ROUNDING * (1 + longest * np.abs(slope).sum())
        step, token = next_event(level, tie, correlation, drift, parallel, closed, active, sign, weight, slope)
        end = level - step <= shortest
        step, settled = min(step, level), 0.0
        for i in range(size):  # rounding may leave a weight with the wrong sign for a while
            if sign[i] * weight[i] < 0 < sign[i] * slope[i]:
                settled = max(settled, -weight[i] / slope[i])
        if step - settled > shortest:
            middle = (settled + step) / 2
            record(active, weight + middle * slope, level - middle, budgets, found, penalty, indices, weights)
        if end:
            record(active, weight + level * slope, 0.0, budgets, found, penalty, indices, weights)
        if end or np.array_equal(found, budgets):
            return
        level -= step
        places = np.flatnonzero(active == token)
        if places.size:
            remove(places[0], active, sign, factor, fit, push)
            size -= 1
            closed[:] = False
            closed[tokens[:size]] = True
        else:
            signs[size] = np.sign(correlation[token] + step * drift[token])
            tokens[size] = token
            size += append(gram, active, token, moment[token], signs[size], factor, fit, push)
            closed[token] = True


@compiled
def violation(gram, target, penalty, indices, weights):
    """Largest violation of |c_i| <= lambda at the candidates and of c_i = lambda sign(w_i) at those with a weight, c = G_t - G w,
    in parts of the largest penalty, max |G_t|."""
    moment, size = gram[target, :target], np.count_nonzero(indices >= 0)
    active, weight = indices[:size], weights[:size]
    correlation, drift = moment.copy(), np.zeros(target)
    subtract(gram, active, weight, np.zeros(size), correlation, drift)
    worst = max(np.abs(correlation).max() - penalty, 0.0)
    for i in range(size):
        if weight[i] != 0:
            worst = max(worst, abs(correlation[active[i]] - penalty * np.sign(weight[i])))
    return worst / np.abs(moment).max() if worst > 0 else 0.0


@compiled
def follow_all(gram, targets, budgets, penalty, indices, weights, gap):
    """Every target's path and its KKT gaps, into penalty and gap (targets, budgets), indices and weights (targets, budgets, most)."""
    for i in range(targets.size):
        follow(gram, targets[i], budgets, penalty[i], indices[i], weights[i])
        for k in range(budgets.size):
            gap[i, k] = violation(gram, targets[i], penalty[i, k], indices[i, k], weights[i, k])
