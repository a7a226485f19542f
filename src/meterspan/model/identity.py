"""One way to name a device, for meter, access point and head end alike.

A DLMS meter is its logical device name. An M-Bus meter is manufacturer, identification number and medium, which stay
when a firmware changes the version octet (EN 13757-7, 7.5). A meter on a P1 port is what the port calls it.
"""

__all__ = ["mbus_device", "p1_device", "split_mbus_device"]

HEX_DIGITS_MIN = 8
"""Shorter identifications are never sent as hexadecimal digits of their letters."""


def mbus_device(manufacturer: str, identification: str, medium: int) -> str:
    """Name an M-Bus meter: ``MSP-12345678-03``.

    Args:
        manufacturer: three letters.
        identification: eight digits (hex digits survive).
        medium: the device type octet (EN 13757-7, table 13).

    """
    return f"{manufacturer}-{identification}-{medium:02X}"


def split_mbus_device(device: str) -> tuple[str, str, int]:
    """Take manufacturer, identification and medium out of a name.

    Raises:
        ValueError: it is not the name of an M-Bus meter.

    """
    parts = device.split("-")
    if len(parts) != 3 or len(parts[0]) != 3 or len(parts[1]) != 8:
        raise ValueError(f"{device!r} is not an M-Bus meter like MSP-12345678-03")
    return parts[0], parts[1], int(parts[2], 16)


def p1_device(text: str) -> str:
    """Return the name of a meter on a P1 port: the port writes it as hex of its letters (DSMR P1, 6.12), or as it is.

    Returns "" where nothing printable is left.
    """
    name = text.strip()
    if len(name) >= HEX_DIGITS_MIN:
        try:
            plain = bytes.fromhex(name).decode("ascii")
        except ValueError:
            plain = name
        name = plain.strip() if plain.isprintable() else name
    return name if name.isprintable() else ""
