"""Large figures of block elements, to be read across the room; seven segments of two half-block pixels a cell."""

from textual.widgets import Static

__all__ = ["BigNumber", "big_text"]

# top, upper left, upper right, middle, lower left, lower right, bottom
_SEGMENTS = {
    "0": "1110111", "1": "0010010", "2": "1011101", "3": "1011011", "4": "0111010",
    "5": "1101011", "6": "1101111", "7": "1010010", "8": "1111111", "9": "1111011", "-": "0001000",
}  # fmt: skip
_HEIGHT = 7
_HALVES = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


class BigNumber(Static):
    """A number with its unit, four lines high."""

    value = ""

    def show(self, value: str, unit: str) -> None:
        """Show digits, minus signs and commas, with the unit at the foot."""
        self.value = f"{value} {unit}"
        lines = big_text(value)
        lines[-1] += f" {unit}"
        width = len(lines[-1])
        self.update("\n".join(line.ljust(width) for line in lines))


def big_text(value: str) -> list[str]:
    """Draw digits and minus signs as four lines; a comma is a gap, other characters are left out."""
    glyphs = [_figure(character) for character in value if character in _DRAWN]
    rows = [" ".join(glyph[row] for glyph in glyphs) for row in range(_HEIGHT)]
    rows.append(" " * len(rows[0]))
    return [
        "".join(_HALVES[upper == "#", lower == "#"] for upper, lower in zip(rows[line], rows[line + 1], strict=True))
        for line in range(0, _HEIGHT + 1, 2)
    ]


_DRAWN = frozenset(_SEGMENTS) | {","}


def _figure(character: str) -> list[str]:
    if character == ",":
        return [" "] * _HEIGHT
    if character == "1":
        return [" #"] * _HEIGHT
    top, upper_left, upper_right, middle, lower_left, lower_right, bottom = (lit == "1" for lit in _SEGMENTS[character])

    def bar(*, lit: bool, left: bool, right: bool) -> str:
        return ("#" if lit or left else " ") + ("##" if lit else "  ") + ("#" if lit or right else " ")

    upper = bar(lit=False, left=upper_left, right=upper_right)
    lower = bar(lit=False, left=lower_left, right=lower_right)
    waist = bar(lit=middle, left=upper_left or lower_left, right=upper_right or lower_right)
    head = bar(lit=top, left=upper_left, right=upper_right)
    foot = bar(lit=bottom, left=lower_left, right=lower_right)
    return [head, upper, upper, waist, lower, lower, foot]
