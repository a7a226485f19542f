"""How a page is rendered: HTML by Jinja with escaping always on, in the reader's language."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from meterspan.model.plain_text import printable
from meterspan.portal import drawings, shapes
from meterspan.portal.links import href, quoted
from meterspan.portal.problems import ProblemError
from meterspan.portal.sources import Sources
from meterspan.portal.words import languages, words_for
from meterspan.quantities import Commodity, utc_text

__all__ = ["Pages", "Tab"]


@dataclass(frozen=True, slots=True)
class Tab:
    """An entry of the operator's menu.

    Attributes:
        path: of its page.
        word: key of its name among the portal's words.
        is_offered: whether a portal over these views has the page.

    """

    path: str
    word: str
    is_offered: Callable[[Sources], bool] = lambda _sources: True


class Pages:
    """Renders every page.

    Args:
        sources: the views.
        static: path prefix of the static files.
        version: shown in the footer.
        tabs: the operator's menu.

    """

    def __init__(self, sources: Sources, static: str, version: str, tabs: Sequence[Tab] = ()) -> None:
        languages()  # a word that is missing ends the start, not the first page that shows it
        self.sources = sources
        self._environment = Environment(
            loader=PackageLoader("meterspan.portal"),
            autoescape=True,
            finalize=_shown,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"href": href, "quoted": quoted}
        self._environment.filters |= {"exact": _exact, "rounded": _rounded, "iso": _iso, "unit": _unit, "local": _local}
        self._environment.globals |= {
            "static": static,
            "version": version,
            "shapes": shapes,
            "drawings": drawings,
            "Commodity": Commodity,
        }
        self._environment.globals |= {"tabs": [tab for tab in tabs if tab.is_offered(sources)]}

    def render(self, request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """Render one page in the reader's language."""
        words = words_for(request.headers.get("accept-language", ""))
        html = self._environment.get_template(template).render(
            t=words, path=request.url.path, lapse=self._lapse(), **values
        )
        headers = {"Vary": "Accept-Language", "Content-Language": words.language}
        return HTMLResponse(html, status_code=status, headers=headers)

    def _lapse(self) -> datetime | None:
        """Return the time of the pages where it runs faster than time, else None."""
        return self.sources.clock() if self.sources.is_time_lapse() else None

    def error(self, request: Request, problem: ProblemError) -> HTMLResponse:
        """Render the error page."""
        return self.render(request, "error.html", status=problem.status, problem=problem)


def _shown(value: object) -> str:
    """Return what a page shows of a value: text of which no letter commands the browser, and markup as such."""
    if isinstance(value, Markup):
        return Markup(printable(value))  # noqa: S704 - it was markup
    return printable(str(value))


_DIGITS = {"kWh": 2, "m3": 2, "W": 0, "Wh": 0}


def _exact(amount: Decimal | int) -> str:
    return format(amount, "f") if isinstance(amount, Decimal) else str(amount)


def _rounded(amount: Decimal | int, unit: str = "") -> str:
    """Round for readers whose browser runs no scripts."""
    return f"{amount:.{_DIGITS.get(unit, 2)}f}"


def _iso(moment: datetime | date) -> str:
    if isinstance(moment, datetime):
        return utc_text(moment)
    return moment.isoformat()


def _local(moment: datetime, zone: ZoneInfo, pattern: str = "%H:%M") -> str:
    return moment.astimezone(zone).strftime(pattern)


def _unit(symbol: str) -> str:
    return symbol.replace("m3", "m³")
