"""The results as a picture (SVG): how many times cheaper than CoreDNS an answer is, and what it costs beside servers in C."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from .results import Figures, Result

WIDTH, MARGIN = 960, 24
LABELS = 330  # pixels for what stands left of the bars
FIGURES = 220  # and right of them
BAR, ROW, GAP = 14, 22, 34  # heights of a bar and its row; the space before a heading
TEXT, FAINT, LINE = "#1f2328", "#59636e", "#d1d9e0"
OURS, COREDNS, IN_C = "#2f6fdb", "#aab4c0", "#e2913a"
FONT = "font-family='-apple-system,Segoe UI,Helvetica,Arial,sans-serif'"


class Canvas:
    """Rows from top to bottom, and what is drawn on them."""

    def __init__(self, longest: float = 1.0):
        """Bars are drawn to a scale on which `longest` just fits."""
        self.top, self.scale = MARGIN, 1.0
        self._parts: list[str] = []
        self.scale_to(longest)

    def scale_to(self, longest: float) -> None:
        """The scale of the bars that follow."""
        self.scale = (WIDTH - 2 * MARGIN - LABELS - FIGURES) / longest

    def text(self, x: float, words: str, colour: str = TEXT, size: int = 13, anchor: str = "start", weight: int = 400) -> None:
        """Words on the present row."""
        place = f"x='{x:.0f}' y='{self.top + BAR - 3}'"
        style = f"font-size='{size}' fill='{colour}' text-anchor='{anchor}' font-weight='{weight}'"
        self._parts.append(f"<text {place} {style}>{escape(words)}</text>")

    def heading(self, words: str, explanation: str) -> None:
        """A title, and beneath it what is shown."""
        self.text(MARGIN, words, size=17, weight=600)
        self.top += ROW
        self.text(MARGIN, explanation, FAINT)
        self.top += ROW + 6

    def bar(self, value: float, colour: str, words: str, goal: float = 0.0) -> None:
        """A bar and the figures behind it, or behind the mark of a goal that it does not reach."""
        length = max(value * self.scale, 1.5)
        self._parts.append(
            f"<rect x='{MARGIN + LABELS}' y='{self.top}' width='{length:.1f}' height='{BAR}' rx='2' fill='{colour}'/>"
        )
        self.text(MARGIN + LABELS + max(length, goal * self.scale) + 8, words)

    def line(self, value: float, top: float, bottom: float, colour: str, width: float, dashes: str = "none") -> None:
        """An upright line at a value."""
        x = MARGIN + LABELS + value * self.scale
        place = f"x1='{x:.1f}' x2='{x:.1f}' y1='{top:.0f}' y2='{bottom:.0f}'"
        self._parts.append(f"<line {place} stroke='{colour}' stroke-width='{width}' stroke-dasharray='{dashes}'/>")

    def label(self, words: str, colour: str = TEXT) -> None:
        """What the bar on the present row is about."""
        self.text(MARGIN + LABELS - 10, words, colour, anchor="end")

    def picture(self) -> str:
        """All of it."""
        height = self.top + MARGIN
        size = f"width='{WIDTH}' height='{height}' viewBox='0 0 {WIDTH} {height}'"
        ground = f"<rect width='{WIDTH}' height='{height}' rx='6' fill='#ffffff' stroke='{LINE}'/>"
        return f"<svg xmlns='http://www.w3.org/2000/svg' {size} {FONT}>\n" + "\n".join([ground, *self._parts]) + "\n</svg>\n"


def chart(results: Sequence[Result]) -> str:
    """The picture of all results that have a ratio."""
    loads = [each for each in results if each.ratios]
    if not loads:
        return ""
    canvas = Canvas()
    draw_ratios(canvas, loads)
    beside_c = [each for each in loads if each.peers and each.scaling is None]
    if beside_c:
        canvas.top += GAP
        draw_costs(canvas, beside_c)
    return canvas.picture()


def draw_ratios(canvas: Canvas, results: Sequence[Result]) -> None:
    """A bar for each workload, as many times as long as the line that is CoreDNS."""
    version = results[0].machine.get("CoreDNS", "")
    canvas.heading(
        f"How many times cheaper than CoreDNS {version} an answer is",
        "CPU time per answer on one core, CoreDNS's by ours, median of the rounds. Dashed: CoreDNS itself. Dark mark: the goal.",
    )
    canvas.scale_to(max(max(each.ratio, each.goal or 0) for each in results))
    begin = canvas.top
    for each in results:
        canvas.label(each.title)
        canvas.bar(each.ratio, OURS, f"{each.ratio:.1f} times   ({_us(each.ours)} against {_us(each.first)} µs)", each.goal or 0)
        if each.goal:
            canvas.line(each.goal, canvas.top - 3, canvas.top + BAR + 3, TEXT, 2)
        canvas.top += ROW
    canvas.line(1, begin - 4, canvas.top - 4, FAINT, 1, "3 3")


def draw_costs(canvas: Canvas, results: Sequence[Result]) -> None:
    """For each workload a bar for each server."""
    canvas.heading(
        "Beside servers written in C", "Microseconds of CPU time per answer, the same load on the same core: shorter is better."
    )
    canvas.scale_to(max(figures.cpu_us or 0 for each in results for figures in each.contenders.values()))
    for each in results:
        canvas.text(MARGIN, each.title, weight=600)
        canvas.top += ROW
        for name, figures in each.contenders.items():
            colour = OURS if figures is each.ours else COREDNS if figures is each.first else IN_C
            canvas.label(f"{name} {each.machine.get(name, '')}")
            canvas.bar(figures.cpu_us or 0, colour, f"{_us(figures)} µs")
            canvas.top += ROW
        canvas.top += 6


def _us(figures: Figures) -> str:
    return f"{figures.cpu_us or 0:.1f}"


def write_chart(results: Sequence[Result], path: Path) -> None:
    """Makes the file, if there is anything to show."""
    if picture := chart(results):
        path.write_text(picture)
