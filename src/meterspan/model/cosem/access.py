"""Access rights as Association LN versions 0..2 give them (IEC 62056-6-2, 4.4.4, access_mode)."""

from enum import IntEnum

__all__ = ["AttributeAccess", "MethodAccess"]


class AttributeAccess(IntEnum):
    """attribute_access_item.access_mode, in the standard's order."""

    NO_ACCESS = 0
    READ_ONLY = 1
    WRITE_ONLY = 2
    READ_AND_WRITE = 3
    AUTHENTICATED_READ_ONLY = 4
    AUTHENTICATED_WRITE_ONLY = 5
    AUTHENTICATED_READ_AND_WRITE = 6

    @property
    def readable(self) -> bool:
        """Whether GET is granted."""
        return self in _READABLE

    @property
    def writable(self) -> bool:
        """Whether SET is granted."""
        return self in _WRITABLE

    @property
    def authenticated(self) -> bool:
        """Whether only a request that is cryptographically authenticated is granted."""
        return self >= AttributeAccess.AUTHENTICATED_READ_ONLY

    def limited_to(self, *, readable: bool, writable: bool) -> "AttributeAccess":
        """Return the part of this right that an attribute which can be read, or written, or both, leaves."""
        may_read, may_write = self.readable and readable, self.writable and writable
        if not (may_read or may_write):
            return AttributeAccess.NO_ACCESS
        plain = AttributeAccess(may_read + 2 * may_write)
        return AttributeAccess(plain + 3) if self.authenticated else plain


class MethodAccess(IntEnum):
    """method_access_item.access_mode."""

    NO_ACCESS = 0
    ACCESS = 1
    AUTHENTICATED_ACCESS = 2

    @property
    def authenticated(self) -> bool:
        """Whether only a request that is cryptographically authenticated is granted."""
        return self is MethodAccess.AUTHENTICATED_ACCESS


_READABLE = {
    AttributeAccess.READ_ONLY,
    AttributeAccess.READ_AND_WRITE,
    AttributeAccess.AUTHENTICATED_READ_ONLY,
    AttributeAccess.AUTHENTICATED_READ_AND_WRITE,
}
_WRITABLE = {
    AttributeAccess.WRITE_ONLY,
    AttributeAccess.READ_AND_WRITE,
    AttributeAccess.AUTHENTICATED_WRITE_ONLY,
    AttributeAccess.AUTHENTICATED_READ_AND_WRITE,
}
