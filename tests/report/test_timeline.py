"""Drawings of timelines: terminal, SVG, HTML, numbers."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.report.grid import plain
from planner.report.panels import (
    COLOURS,
    Clock,
    Figure,
    Panel,
    chunks,
    ink,
    kinds,
    nice_step,
    numbers,
    per_rank,
    shade,
    ticks,
    timelines,
    worked,
)
from planner.report.timeline import column_text, drawing
from planner.report.timeline_svg import page, svg
from planner.simulate import Task, Timeline
from tests.report.timelines import panel

SVG = "{http://www.w3.org/2000/svg}"
SPLIT = {"I": 0.5, "W": 0.5}


def compared() -> list[Panel]:
    """Four schedules with the same work."""
    return [
        panel("gpipe", 4, 8),
        panel("1f1b", 4, 8),
        panel("interleaved", 4, 8, 2),
        panel("zb-h1", 4, 8, times=SPLIT),
    ]


def pair() -> Panel:
    """F1, then F2 and B1 at the same time, then B2."""
    row = (Task(0, "F", 0, 0, 0, 1), Task(0, "F", 1, 0, 1, 3), Task(0, "B", 0, 0, 1, 3), Task(0, "B", 1, 0, 3, 4))
    return Panel("pair", "", Timeline("pair", 1, 2, 1, (row,), (((0.0, 1.0), (1.0, 2.0), (3.0, 1.0), (4.0, 0.0)),)))


def lines(panels: list[Panel], width: int = 118, slots: bool = True) -> list[str]:
    """The drawing without colours."""
    return [plain(line) for line in drawing(panels, Clock(slots), width)]


def rows(panels: list[Panel], width: int = 118, slots: bool = True) -> list[str]:
    """What is drawn of every rank."""
    return [re.sub(r"^rank \d+ +", "", line) for line in lines(panels, width, slots) if line.startswith("rank ")]


class TestTerminal:
    """Letters, columns, scale."""

    def test_1f1b_as_the_papers_draw_it(self) -> None:
        """22 slots of three columns; rank 0 runs F1-F4, is idle for three slots, and B1 comes in slot 8."""
        drawn = rows([panel("1f1b", 4, 8)], 80)
        assert [len(row) for row in drawn] == [66] * 4
        slots = [[row[i : i + 3].strip() for i in range(0, 66, 3)] for row in drawn]
        assert slots[0][:9] == ["F1", "F2", "F3", "F4", "···", "···", "···", "B1", "F5"]
        assert slots[3] == ["···"] * 3 + [f"{k}{i}" for i in range(1, 9) for k in "FB"] + ["···"] * 3
        assert [row.index("B1") + 1 for row in slots] == [8, 7, 6, 5]
        assert all(row.count("···") == 6 for row in slots)

    @pytest.mark.parametrize(("width", "columns"), [(30, 1), (52, 2), (74, 3), (300, 3)])
    def test_every_slot_gets_the_same_columns(self, width: int, columns: int) -> None:
        """As many as fit, none more than the label needs; letters alone where there is room for one column."""
        drawn = rows([panel("1f1b", 4, 8)], width)
        assert [len(row) for row in drawn] == [22 * columns] * 4
        assert drawn[0].startswith({1: "FFFF···BFB", 2: "F1F2F3F4······B1", 3: "F1 F2 F3 F4 ·········B1 "}[columns])

    def test_chunks_differ_by_case_and_number(self) -> None:
        """Two chunks by case alone; four by case and index."""
        assert rows([panel("interleaved", 4, 8, 2)], 100)[0].startswith("F1F2F3F4f1f2f3f4F5F6F7b1F8b2")
        assert "F1₀f1₁F1₂f1₃" in "".join(rows([panel("interleaved", 1, 2, 4)], 100)).replace(" ", "").replace("F2₀", "")

    def test_split_backward(self) -> None:
        """I and W stand for the halves; a rank waits for I only."""
        drawn = rows([panel("zb-h1", 4, 8)], 118)
        assert "".join(drawn[3].split())[9:].startswith("F1I1F2I2F3I3F4I4W1F5")

    def test_overlapped_pairs(self) -> None:
        """Two halves of one span, told apart from two that follow one another."""
        drawn = rows([pair()], 80)
        assert drawn == ["F1 F2&B1 B2 "]

    def test_long_schedules_are_scaled_and_say_so(self) -> None:
        """Never wrapped: one line per rank, and what a column stands for."""
        said = lines([panel("1f1b", 8, 200)], 80)
        assert sum(line.startswith("rank ") for line in said) == 8 and max(map(len, said)) <= 80
        assert any(line.startswith("1 column = 5.75 slots") for line in said)
        assert any("+ mixed" in line for line in said)

    def test_one_scale_and_one_table(self) -> None:
        """Shorter schedules end earlier."""
        said = lines(compared(), 100)
        lengths = {len(line) for line in said if line.startswith("rank ")}
        assert lengths == {8 + 22 * 4, 8 + 19 * 4}
        assert sum("bubble fraction" in line for line in said) == 1
        assert said[-1].startswith("least time: interleaved:2, zb-h1;")

    def test_narrow_comparison_keeps_its_numbers(self) -> None:
        """Where the table does not fit, every panel has its own line."""
        said = "\n".join(lines(compared(), 60))
        assert said.count("bubble fraction") == 4 and "least time" in said.replace("\n", " ")

    def test_seconds(self) -> None:
        """Times that are no multiples of one another use all of the width."""
        said = lines([panel("1f1b", 4, 8, times={"F": 0.031, "B": 0.0633})], 80, slots=False)
        assert "makespan 1.04 s" in "\n".join(said) and "1 column = 14.4 ms" in "\n".join(said)
        assert max(map(len, said)) == 80

    def test_colours_repeat_the_letters(self) -> None:
        """Every letter has its own colour, and every box a letter."""
        row = next(line for line in drawing(compared()[3:], Clock(), 100) if line.startswith("rank 0"))
        boxes = re.findall(r"\x1b\[[\d;]*48;2;(\d+);(\d+);(\d+)m(.)", row)
        assert len(boxes) == 24
        for *colour, letter in boxes:
            assert COLOURS[letter] == "#{:02X}{:02X}{:02X}".format(*map(int, colour))

    @given(
        st.integers(1, 9),
        st.integers(1, 20),
        st.integers(20, 140),
        st.sampled_from([0.3, 0.5, 1.0, 1.7, 2.0]),
        st.booleans(),
    )
    @settings(max_examples=60, deadline=None)
    def test_rows_are_as_long_as_the_step(self, p: int, m: int, width: int, backward: float, slots: bool) -> None:
        """All rows of a panel have one length, and no line passes the width."""
        said = lines([panel("1f1b", p, m, times={"B": backward})], max(width, 32), slots)
        assert len({len(line) for line in said if line.startswith("rank ")}) == 1
        assert max(map(len, said)) <= max(width, 32)


@pytest.mark.parametrize(
    ("shares", "text"),
    [({"F": 1.0}, "F"), ({"F": 0.2}, "·"), ({"F": 0.5}, "+"), ({"F": 0.5, "B": 0.5}, "+"), ({"F": 0.3, "B": 0.7}, "B")],
)
def test_column_text(shares: dict[str, float], text: str) -> None:
    """Two thirds of a column decide."""
    assert column_text(shares) == text


class TestNumbers:
    """What stands beside a drawing."""

    @pytest.mark.parametrize(("p", "m"), [(1, 1), (2, 3), (4, 8), (8, 64)])
    def test_both_bubbles(self, p: int, m: int) -> None:
        """(p-1)/(m+p-1) of the time, (p-1)/m of the work."""
        n = numbers(panel("1f1b", p, m).timeline)
        assert n.bubble_fraction == pytest.approx((p - 1) / (m + p - 1))
        assert n.bubble_overhead == pytest.approx((p - 1) / m)
        assert n.peaks == tuple(min(m, p - rank) for rank in range(p))

    def test_overlap_counts_once(self) -> None:
        """A rank that does two things at once is busy once."""
        assert worked(pair().timeline.tasks[0]) == 4 and numbers(pair().timeline).bubble_fraction == 0

    def test_json(self) -> None:
        """The unit is in the key."""
        figure = Figure((panel("1f1b", 4, 8),), True, {"pp": 4})
        (slots,) = timelines(figure)["timelines"]
        (seconds,) = timelines(Figure(figure.panels, False, {}))["timelines"]
        assert slots["makespan_slots"] == seconds["makespan_s"] == 22

    def test_per_rank(self) -> None:
        """Listed, or summed up."""
        assert per_rank([4.0, 3.5]) == "4 3.5" and per_rank([8.0, 8.0]) == "8 on every rank" and per_rank([2.0]) == "2"
        assert per_rank([float(x) for x in range(32, 0, -1)]) == "32 (rank 0) down to 1 (rank 31)"

    def test_clock(self) -> None:
        """Slots count; seconds take the unit that reads best."""
        assert (Clock().say(22), Clock().say(1), Clock().say(0.5)) == ("22 slots", "1 slot", "0.5 slots")
        assert (Clock(False).say(0.0123), Clock(False).tick(0.0)) == ("12.3 ms", "0")

    @given(st.floats(1e-7, 1e7), st.floats(1, 100))
    def test_ticks(self, span: float, most: float) -> None:
        """1, 2 or 5 times a power of ten, no more than asked for."""
        assert f"{nice_step(span, most):.0e}"[0] in "125"
        assert 1 <= len(ticks(span, most, whole=False)) <= most + 2

    def test_contrast(self) -> None:
        """Text on every shade reaches WCAG's 4.5 : 1."""

        def luminance(colour: str) -> float:
            parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
            linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        for v in (1, 2, 4, 8):
            for background in (shade(kind, chunk, v) for kind in COLOURS for chunk in range(v)):
                dark, light = sorted((luminance(background), luminance(ink(background))))
                assert (light + 0.05) / (dark + 0.05) >= 4.5, background


class TestSvg:
    """Valid, complete, and on one scale."""

    @pytest.mark.parametrize("clock", [Clock(), Clock(False)])
    def test_one_box_per_task_in_its_place(self, clock: Clock) -> None:
        """Start and length of every box are those of its task; the tooltip says them."""
        drawn = panel("interleaved", 4, 8, 2)
        boxes = boxes_of(svg([drawn], clock))
        tasks = [task for row in drawn.timeline.tasks for task in row]
        assert len(boxes) == len(tasks) == 128
        unit = float(boxes[0].get("width", 0)) / (tasks[0].end - tasks[0].start)
        left = float(boxes[0].get("x", 0))
        for box, task in zip(boxes, tasks, strict=True):
            assert float(box.get("x", 0)) == pytest.approx(left + task.start * unit, abs=0.02)
            assert float(box.get("width", 0)) == pytest.approx((task.end - task.start) * unit, abs=0.02)
            said = box[0].text or ""
            assert f"micro-batch {task.micro_batch + 1}, chunk {task.chunk} on rank {task.rank}: " in said

    def test_panels_share_the_scale(self) -> None:
        """A slot is as wide in every panel."""
        widths = {box.get("width") for p in (compared(),) for box in boxes_of(svg(p[:2], Clock()))}
        assert len(widths) == 1

    def test_overlapped_pairs_share_the_height(self) -> None:
        """The forward above, the backward below, at the same time."""
        boxes = boxes_of(svg([pair()], Clock()))
        assert [box.get("height") for box in boxes] == ["22", "11", "11", "22"]
        assert boxes[1].get("x") == boxes[2].get("x") and boxes[1].get("y") != boxes[2].get("y")

    def test_memory_strip_per_rank(self) -> None:
        """One per rank, with its peak."""
        root = ET.fromstring(svg([panel("1f1b", 4, 8)], Clock()))
        strips = [path for path in root.iter(f"{SVG}path") if path.get("class") == "held"]
        assert [(strip[0].text or "").split(" most ")[1] for strip in strips] == [
            f"{n} micro-batches" for n in (4, 3, 2, 1)
        ]

    def test_captions_are_escaped(self) -> None:
        """Names are text, never markup."""
        bad = Panel('<b onload="x">&', "a < b & c", panel("1f1b", 2, 2).timeline)
        assert any("<b onload" in (t.text or "") for t in ET.fromstring(svg([bad], Clock())).iter(f"{SVG}text"))
        assert "<b onload" not in page([bad], Clock())

    def test_large_schedules(self) -> None:
        """16 ranks and 128 micro-batches: every task, in little time and space."""
        started = process_time()
        text = svg([panel("1f1b", 16, 128)], Clock())
        assert len(boxes_of(text)) == 4096 and len(text) < 2e6 and process_time() - started < 5

    def test_legend_names_what_occurs(self) -> None:
        """No kind more, none less; shades are explained once there are chunks."""
        assert kinds(compared()) == ["F", "B", "I", "W"] and chunks(compared()) == 2
        text = svg([panel("1f1b", 4, 8)], Clock())
        assert "weight gradient" not in text and "lighter" not in text
        assert "weight gradient" in svg(compared(), Clock()) and "lighter" in svg(compared(), Clock())


def boxes_of(text: str) -> list[ET.Element]:
    """The boxes of tasks, in document order."""
    return [rect for rect in ET.fromstring(text).iter(f"{SVG}rect") if "box" in rect.get("class", "").split()]


class TestHtml:
    """One file that needs no other."""

    def test_table_of_numbers(self) -> None:
        """Both bubbles under their names, time, peaks."""
        text = page(compared(), Clock())
        for said in ("bubble fraction", "bubble overhead", "makespan", "peak activations per rank", "Least time: "):
            assert said in text
        assert "<td>27.3%</td><td>37.5%</td><td>22 slots</td><td>22 slots</td><td>4 3 2 1</td>" in text

    def test_loads_nothing(self) -> None:
        """No address but the SVG namespace."""
        assert set(re.findall(r"https?://[^\s\"<]+", page(compared(), Clock()))) == {"http://www.w3.org/2000/svg"}
        assert "src=" not in page(compared(), Clock()) and "href=" not in page(compared(), Clock())


def test_times_need_not_start_at_zero() -> None:
    """A step cut out of a longer run is drawn from its own start."""
    drawn = panel("1f1b", 2, 2)
    later = tuple(
        tuple(type(t)(t.rank, t.kind, t.micro_batch, t.chunk, t.start + 5, t.end + 5) for t in row)
        for row in drawn.timeline.tasks
    )
    held = tuple(tuple((time + 5, n) for time, n in row) for row in drawn.timeline.held)
    moved = Panel(drawn.title, drawn.caption, Timeline("1f1b", 2, 2, 1, later, held))
    assert lines([moved], 60) == lines([drawn], 60) and svg([moved], Clock()) == svg([drawn], Clock())
