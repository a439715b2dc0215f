"""What is to be done about a store that an agent could not use."""

from __future__ import annotations

import pytest

from dag.core.doctor.probes import Fate, ProbeOutcome, judge
from dag.io.store.objects import HINT
from dag.run.doctor.probes import without_usual_hint


@pytest.mark.parametrize(("hint", "fix"), [("ask", "ask"), (None, "usual"), (HINT, "usual")])
def test_what_the_agent_says_counts_unless_it_says_no_more_than_is_usual(
    hint: str | None, fix: str
) -> None:
    outcome = without_usual_hint(ProbeOutcome(Fate.ENDED, "no answer", 3, hint))
    assert judge(outcome, "done", "cannot", "usual").fix == fix
