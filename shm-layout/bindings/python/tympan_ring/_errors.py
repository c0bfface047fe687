"""What can go wrong: a class for each different reaction, with a short `kind` that is the same in every language."""


class RingError(Exception):
    """Anything this package raises about a ring."""

    kind = "ring"


class AttachError(RingError):
    """The file is not a ring that can be read."""


class MissingError(AttachError):
    """There is no such file (yet)."""

    kind = "missing"


class IoError(AttachError):
    """The operating system refused."""

    kind = "io"


class UntrustedError(AttachError):
    """Not a private regular file of this user."""

    kind = "untrusted"


class VersionError(AttachError):
    """Another version of the layout, in `actual`."""

    kind = "version"

    def __init__(self, actual: int):
        super().__init__(f"the ring has layout version {actual}, this package reads version 2")
        self.actual = actual


class FeatureError(AttachError):
    """It needs features that this package does not know, in `unknown`."""

    kind = "feature"

    def __init__(self, unknown: int):
        super().__init__(f"the ring needs features {unknown:#x} that this package does not know")
        self.unknown = unknown


class MalformedError(AttachError):
    """The bytes are not a ring."""

    kind = "malformed"


class ReadError(RingError):
    """The frames cannot be read."""


class LostError(ReadError):
    """Frames `start` to `stop` were overwritten before they were read. Go on at `stop`, the oldest safe frame."""

    kind = "lost"

    def __init__(self, start: int, stop: int):
        super().__init__(f"frames {start}..{stop} were overwritten before they were read")
        self.start, self.stop = start, stop


class NotYetError(ReadError):
    """Not all of the frames are written: those before `available` are."""

    kind = "not_yet"

    def __init__(self, available: int):
        super().__init__(f"frames up to {available} are written so far")
        self.available = available


class BeforeFirstError(ReadError):
    """The ring begins later, at `first`."""

    kind = "before_first"

    def __init__(self, first: int):
        super().__init__(f"the ring begins at frame {first}")
        self.first = first
