"""The HDLC link of IEC 62056-46: set-up and release (``link``), and the exchange of the turn within them (``turn``)."""
