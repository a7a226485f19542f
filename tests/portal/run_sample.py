"""Look at the portal over the sample district: ``python tests/portal/run_sample.py [port]``."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from meterspan.portal import PortalServer, create_app
from tests.portal.sample_views import NOW, SampleDesk, SampleHomes, SampleNetwork


def running_clock() -> datetime:
    """The sample's present, going on from the start of this program."""
    return NOW + (datetime.now(UTC) - _STARTED)


_STARTED = datetime.now(UTC)

if __name__ == "__main__":
    app = create_app(SampleHomes(NOW + timedelta(minutes=0)), SampleNetwork(), clock=running_clock, orders=SampleDesk())
    PortalServer(app, port=int(sys.argv[1]) if len(sys.argv) > 1 else 8137).run()
