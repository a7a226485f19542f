"""The web portal: consumer, operator and machine views over the two view protocols of ``model.views``.

``create_app`` builds the application; ``PortalServer`` runs it under uvicorn and ends open event streams on shutdown.
"""

from meterspan.portal.app import create_app
from meterspan.portal.server import PortalServer

__all__ = ["PortalServer", "create_app"]
