from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.widgets.omics_lookup import Coverage, Lookup
from napari_mmsubtype.widgets.table_choice import Choice, TableChoice

P = "TCGA-E2-A002"
HOLDS = Lookup(sample=f"{P}-01A", coverage=Coverage())
CANNOT = Lookup(sample=f"{P}-01A", coverage=Coverage(problem="too few features"))
REPORT = ModalityReport(Modality.RNA, used=False, reason="coverage 10 % is below 30 %")
THIN = Lookup(sample=f"{P}-01A", coverage=Coverage(REPORT, 0.3))
ABSENT = Lookup(problem="not among the samples")


@dataclass
class Table:
    modality: Modality
    name: str

    @property
    def request(self) -> Any:
        return SimpleNamespace(name=self.name)


def decide(choice: TableChoice, *lookups: Lookup | None, patient: str = P):
    tables = {i: Table(Modality.RNA, f"{'abc'[i]}.csv") for i in range(len(lookups))}
    return choice.decide(tables, dict(enumerate(lookups)), patient)


def used(choices: dict[int, Choice]) -> list[int]:
    return [key for key, choice in choices.items() if choice.used]


def test_a_table_alone_is_used_without_a_word() -> None:
    for lookup in (None, HOLDS, ABSENT, Lookup()):
        assert decide(TableChoice(), lookup) == {0: Choice(True)}


def test_the_one_that_holds_the_patient_is_used() -> None:
    found = decide(TableChoice(), ABSENT, HOLDS)
    assert found[1] == Choice(True, f"Used: the only RNA table that holds {P}.")
    assert found[0] == Choice(
        False, "Not used. Tick the box to use it in place of b.csv."
    )


def test_of_several_the_first_that_can_serve_is_used() -> None:
    found = decide(TableChoice(), ABSENT, HOLDS, HOLDS)
    assert used(found) == [1]
    assert found[1].sentence == (
        f"Used as the first of 2 RNA tables that hold {P}; tick c.csv to use that one."
    )
    assert found[2].sentence.startswith(f"Not used, though it holds {P}.")
    for poor in (CANNOT, THIN):
        found = decide(TableChoice(), poor, HOLDS)
        assert used(found) == [1]
        assert "a.csv holds" in found[1].sentence
        assert "cannot take that row" in found[1].sentence
    assert used(decide(TableChoice(), ABSENT, CANNOT)) == [1]


def test_without_the_patient_the_first_is_used() -> None:
    found = decide(TableChoice(), ABSENT, ABSENT)
    assert found[0] == Choice(True, f"No RNA table holds {P}.")
    found = decide(TableChoice(), Lookup(), Lookup(), patient="")
    assert found[0] == Choice(True)
    assert used(found) == [0]


def test_what_the_user_ticked_stays() -> None:
    choice = TableChoice()
    choice.say(Modality.RNA, 0)
    found = decide(choice, ABSENT, HOLDS)
    assert found[0] == Choice(True, f"⚠ b.csv holds {P}, this table does not.")
    assert f"though it holds {P}" in found[1].sentence
    found = decide(choice, HOLDS, HOLDS)
    assert found[0].sentence == f"Used as you ticked it; b.csv holds {P} too."
    choice.say(Modality.RNA, None)
    assert used(decide(choice, HOLDS, HOLDS)) == []
    found = decide(choice, HOLDS)
    assert found == {
        0: Choice(False, f"Not used, though it holds {P}. Tick the box to use it.")
    }


def test_a_tick_counts_again_once_its_table_is_back() -> None:
    choice = TableChoice()
    choice.say(Modality.RNA, 1)
    assert used(decide(choice, HOLDS)) == [0]
    assert used(decide(choice, HOLDS, HOLDS)) == [1]


def test_nothing_changes_while_the_patient_is_looked_for() -> None:
    choice = TableChoice()
    assert used(decide(choice, ABSENT, HOLDS)) == [1]
    for pending in ((None, None), (HOLDS, None)):
        found = decide(choice, *pending)
        assert used(found) == [1]
        assert found[1].sentence == ""
    assert used(decide(choice, HOLDS, ABSENT)) == [0]
    assert used(decide(TableChoice(), None, None)) == [0]


def test_each_modality_has_its_own_table() -> None:
    tables = {
        0: Table(Modality.RNA, "a"),
        1: Table(Modality.CLINICAL, "b"),
        2: Table(Modality.CLINICAL, "c"),
    }
    found = TableChoice().decide(tables, {0: ABSENT, 1: ABSENT, 2: HOLDS}, P)
    assert used(found) == [0, 2]
