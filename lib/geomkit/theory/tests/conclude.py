"""Conclude from every test of the theory (theory/conclusions.csv), beside the predictions of the theory and of a rival."""

from pathlib import Path

from geomkit.studies.published.rows import PublishedLaw
from geomkit.tables.rows import read_csv, write_csv
from geomkit.theory.rows import (
    Conclusion,
    ConditionalGain,
    DocumentVariance,
    ExponentRelation,
    FactModel,
    LearntRank,
    NgramGap,
    SimulatedGraph,
    SkillCurve,
    StepRadius,
    StepRow,
    TableExponent,
)
from geomkit.theory.tests.arithmetic import of_simulation
from geomkit.theory.tests.facts import of_facts
from geomkit.theory.tests.grid import of_curves, of_exponents, of_relations
from geomkit.theory.tests.ngrams import of_budgets, of_quanta
from geomkit.theory.tests.representations import of_representations
from geomkit.theory.tests.steps import of_steps
from geomkit.theory.tests.table import one


def conclude(
    simulation: Path,
    relations: Path,
    curves: Path,
    exponents: Path,
    budgets: Path,
    gains: Path,
    documents: Path,
    quanta: Path,
    facts: Path,
    steps: Path,
    radii: Path,
    laws: Path,
    output: Path,
) -> None:
    """Write conclusions.csv from the tables of all tests."""
    related, tables = read_csv(relations, ExponentRelation), read_csv(exponents, TableExponent)
    rows = [
        *of_simulation(read_csv(simulation, SimulatedGraph)),
        *of_relations(related),
        *of_curves(read_csv(curves, SkillCurve)),
        *of_exponents(tables, one(related), {(row.law, row.parameter): row.value for row in read_csv(laws, PublishedLaw)}),
        *of_budgets(read_csv(budgets, NgramGap)),
        *of_representations(read_csv(gains, ConditionalGain), read_csv(documents, DocumentVariance)),
        *of_quanta(read_csv(quanta, LearntRank)),
        *of_facts(read_csv(facts, FactModel)),
        *of_steps(read_csv(steps, StepRow), read_csv(radii, StepRadius)),
    ]
    write_csv(output, Conclusion, rows)
