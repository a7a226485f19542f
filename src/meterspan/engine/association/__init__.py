"""Application associations over any link, both roles (IEC 62056-5-3): ``ClientAssociation``, ``ServerAssociation``."""
