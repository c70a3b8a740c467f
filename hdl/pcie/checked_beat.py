"""Between the two blocks that receive."""

from amaranth.lib import data

from .tlp import TlpBeatLayout

__all__ = ["CheckedBeatLayout"]


class CheckedBeatLayout(data.StructLayout):
    """Beat of TLPs that may pass, but for the last one if it goes on in the next beat.

    Only lanes of TLPs are valid that ended well in this beat, or that may still do so: these are
    the ``tail``. So of each TLP all lanes but those of its last beat were a tail, and it is known
    when it ends whether it passes. A TLP can also be cut off without an eop: ``ended`` with
    ``bad``, then none of the valid lanes is its.

    Fields
    ------
    beat : TlpBeatLayout
        The segments; no lane is valid in a cycle without a beat.
    tail : segment_count bits
        Lanes, up to the last one, of a TLP that does not end in this beat.
    ended : 1 bit
        The TLP that was the tail of the valid beat before has ended; also without a valid lane.
    bad : 1 bit
        With ``ended``: it may not pass.

    Raises
    ------
    ValueError
        If ``segment_count`` is not 1, 2 or 4.
    """

    def __init__(self, segment_count: int):
        super().__init__(
            {
                "beat": TlpBeatLayout(segment_count),
                "tail": segment_count,
                "ended": 1,
                "bad": 1,
            }
        )
