"""A run in which a job was killed, and the run that comes after it."""

from runs import PICTURES, upstream


def test_a_killed_job_leaves_no_dump_and_the_others_go_on(killed):
    assert killed.outcome.status == 1
    assert "SIGKILL" in killed.outcome.terminal
    assert "Traceback" not in killed.outcome.terminal
    assert killed.dumps == []


def test_a_run_that_was_killed_ends_with_the_same_bytes_on_one_core_in_another_place(case, killed):
    outcome = killed.resumed.wait()
    assert outcome.status == 0, outcome.terminal
    assert upstream(outcome) == {"dump": 1, "spectra": 1, "entropy": 1, "width_nulls": 1}
    results, expected = killed.case.results(), case.results()
    assert results.keys() >= {path for path in expected if not path.endswith(PICTURES)}
    assert [path for path, content in results.items() if content != expected[path]] == []
