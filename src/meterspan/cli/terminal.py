"""The terminal: the one place where commands print, so that no text of a meter, a file or a peer commands it.

Control characters (ECMA-48; C0, C1, DEL) and the marks that turn the direction of writing (Unicode, UAX 9) are shown as
U+FFFD. ``plain`` keeps brackets in a text from being read as style; brackets without a style are printed as they are.
"""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.errors import MarkupError
from rich.markup import escape
from rich.segment import Segment
from rich.text import Text

from meterspan.model.plain_text import one_line, printable

__all__ = ["Terminal", "cell", "plain"]


def plain(value: object) -> str:
    """Return a value as text of one line in which rich finds no style; a line feed is shown as U+FFFD."""
    return escape(one_line(str(value)))


def cell(value: object, style: str = "") -> Text:
    """Return a value as one line of a table, as it is but for its control characters."""
    return Text(one_line(str(value)), style=style)


class Terminal(Console):
    """A console of rich that prints no control character of what it is given; styles and its own movements stay."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of anything that rich can show, without control characters in their text."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else printable(segment.text)
            yield segment if shown == segment.text else Segment(shown, segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """Return styled text; the text as it is where its style cannot be read."""
        try:
            return super().render_str(text, **options)
        except MarkupError:
            options["markup"] = False
            return super().render_str(text, **options)
