"""Compute Lasso paths by homotopy on a Gram matrix, in compiled code for `geomkit.measures.selection.lasso_paths`.

Between two events the weights of the active tokens, and the correlations of all tokens with the residual, are linear in the
penalty. At an event a token comes in, since its correlation has reached the penalty, or leaves, since its weight has reached 0.
Weights are solved for anew after every event, so that rounding does not add up. Of events at one penalty (ties) the latest
token's comes first: with a fixed order ties come to an end (Murty 1974; they are a linear complementarity problem).
Source: Osborne, Presnell, Turlach 2000; Efron, Hastie, Johnstone, Tibshirani 2004.
"""

import numpy as np

try:
    from numba import njit
except ImportError:  # the same paths, a hundred times slower
    njit = None  # type: ignore[assignment]

EPS = float(np.finfo(np.float64).eps)
ROUNDING = 32 * EPS
SHORTEST = 1e-12
"""A stretch of the path shorter than this part of the largest penalty has no middle; a weight below this part of all is 0."""
EVENTS = 16
"""For each candidate, where a whole path takes about two: a path with more is given up, and the budgets that it has not reached
keep fewer tokens."""


def compiled(function):
    """Compile a function to machine code, cached on disk beside this file or in the user's cache folder.

    The cache is skipped where neither can be written, and compilation where numba is not installed.

    Where numba is not installed, the function itself.
    """
    if njit is None:
        return function
    try:
        return njit(cache=True)(function)
    except RuntimeError:
        return njit(function)


@compiled
def forward(factor, x):
    """Solve R^-T x, in place."""
    for i in range(x.size):
        x[i] /= factor[i, i]
        for j in range(i + 1, x.size):
            x[j] -= factor[i, j] * x[i]


@compiled
def backward(factor, x):
    """Solve R^-1 x, in place."""
    for i in range(x.size - 1, -1, -1):
        known = 0.0
        for j in range(i + 1, x.size):
            known += factor[i, j] * x[j]
        x[i] = (x[i] - known) / factor[i, i]


@compiled
def append(gram, active, token, moment, sign, factor, fit, push):
    """Add a token to the factor R^T R = G of the active ones.

    fit = R^-T b of their moments and push = R^-T s of their signs, so that their weights at a penalty are R^-1 (fit - lambda
    push).

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
    if distance <= 1e-6 * own:  # else it would take weights in the tens of thousands
        backward(factor, column)
        extent = np.sqrt(own)
        for i in range(size):
            extent += abs(column[i]) * np.sqrt(gram[active[i], active[i]])
        if distance <= EPS * extent * extent:
            return False
    root = np.sqrt(distance)
    factor[size, size], fit[size], push[size] = root, rest / root, pull / root
    return True


@compiled
def remove(place, active, sign, factor, fit, push):
    """Remove the token at a place of the active ones from R, R^-T b and R^-T s, by Givens rotations."""
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
def subtract(gram, active, weight, x):
    """Subtract sum_i w_i G_i from x in place, over the active tokens i and at every candidate."""
    for i in range(active.size):
        row, w = gram[active[i]], weight[i]
        for j in range(x.size):
            x[j] -= w * row[j]


@compiled
def next_event(level, tie, longest, correlation, drift, closed, active, sign, weight, slope):
    """Find how far the penalty falls until the next event, and which token's it is; of tied events, the latest token's.

    A correlation that falls just as the penalty does never leaves it, or never reaches it. So it is for tokens that depend
    linearly on the active ones, repeated tokens among them, and rounding must not let them in.
    """
    parallel, step, token = ROUNDING, np.inf, -1
    for i in range(active.size):
        parallel += ROUNDING * longest * abs(slope[i])
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
    return min(max(step, 0.0), level), token


@compiled
def settled(sign, weight, slope):
    """Find how far the penalty falls until every weight has its sign: rounding may leave one that has just come in without it."""
    last = 0.0
    for i in range(sign.size):
        if sign[i] * weight[i] < 0 < sign[i] * slope[i]:
            last = max(last, -weight[i] / slope[i])
    return last


@compiled
def record(active, weight, slope, step, level, budgets, reached, penalty, indices, weights):
    """Store the solution at level - step for the budgets that it fits and that have fewer tokens so far.

    At the end of the path, where that is 0, it is stored for all that it fits and that are not reached. Weights that are 0 but
    for rounding do not count.
    """
    total, size = 0.0, 0
    for i in range(active.size):
        total += abs(weight[i] + step * slope[i])
    for i in range(active.size):
        size += abs(weight[i] + step * slope[i]) > SHORTEST * total
    for k in range(budgets.size):
        if size <= budgets[k] and (reached[k] < size or (level == step and reached[k] < budgets[k])):
            reached[k], penalty[k], place = size, level - step, 0
            indices[k], weights[k] = -1, 0.0
            for i in range(active.size):
                value = weight[i] + step * slope[i]
                if abs(value) > SHORTEST * total:
                    indices[k, place], weights[k, place] = active[i], value
                    place += 1


@compiled
def follow(gram, target, budgets, factor, penalty, indices, weights):
    """Follow one target's path to its end or until every budget is reached. The candidates are all tokens before the target."""
    moment, longest = gram[target, :target], np.diag(gram)[:target].max()
    highest = np.abs(moment).max()
    penalty[:], indices[:], weights[:] = highest, -1, 0.0
    if highest <= ROUNDING * np.sqrt(longest * gram[target, target]):
        return
    tokens, closed, reached = np.empty(target, np.int64), np.zeros(target, np.bool_), np.zeros_like(budgets)
    signs, fit, push, values, slopes = np.empty(target), np.empty(target), np.empty(target), np.empty(target), np.empty(target)
    correlation, drift = np.empty(target), np.empty(target)
    size, level, tie, shortest = 0, highest, ROUNDING * highest, SHORTEST * highest
    correlation[:] = moment
    for _ in range(EVENTS * target):
        active, sign, weight, slope = tokens[:size], signs[:size], values[:size], slopes[:size]
        for i in range(size):
            weight[i], slope[i] = fit[i] - level * push[i], push[i]
        backward(factor, weight)
        backward(factor, slope)
        drift[:] = 0.0
        subtract(gram, active, slope, drift)
        step, token = next_event(level, tie, longest, correlation, drift, closed, active, sign, weight, slope)
        start, end = settled(sign, weight, slope), level - step <= shortest
        if step - start > shortest:
            record(active, weight, slope, (start + step) / 2, level, budgets, reached, penalty, indices, weights)
        if end:
            record(active, weight, slope, level, level, budgets, reached, penalty, indices, weights)
        if end or np.array_equal(reached, budgets):
            return
        level -= step
        for j in range(target):
            correlation[j] += step * drift[j]
        if closed[token]:
            remove(np.flatnonzero(active == token)[0], active, sign, factor, fit, push)
            size -= 1
            closed[:] = False
            closed[tokens[:size]] = True
        else:
            tokens[size], signs[size] = token, np.sign(correlation[token])
            size += append(gram, active, token, moment[token], signs[size], factor, fit, push)
            closed[token] = True


@compiled
def violation(gram, target, penalty, indices, weights):
    """Compute the KKT gap, relative to the largest penalty max |G_t|.

    It is the largest violation of |c_i| <= lambda at the candidates and of c_i = lambda sign(w_i) at those with a weight, c = G_t
    - G w.
    """
    moment, size = gram[target, :target], np.count_nonzero(indices >= 0)
    active, weight = indices[:size], weights[:size]
    correlation = moment.copy()
    subtract(gram, active, weight, correlation)
    worst = max(np.abs(correlation).max() - penalty, 0.0)
    for i in range(size):
        if weight[i] != 0:
            worst = max(worst, abs(correlation[active[i]] - penalty * np.sign(weight[i])))
    return worst / np.abs(moment).max() if worst > 0 else 0.0


@compiled
def follow_all(gram, targets, budgets, penalty, indices, weights, gap):
    """Follow every target's path, and fill in penalty, gap (targets, budgets) and indices, weights (targets, budgets, most)."""
    factor = np.empty((len(gram), len(gram)))
    for i in range(targets.size):
        follow(gram, targets[i], budgets, factor, penalty[i], indices[i], weights[i])
        for k in range(budgets.size):
            gap[i, k] = violation(gram, targets[i], penalty[i, k], indices[i, k], weights[i, k])
