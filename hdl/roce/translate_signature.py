"""How the clients of a Translator ask."""

from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from .config import RoceConfig
from .layouts import TranslateRequestLayout, TranslateResponseLayout

__all__ = ["TranslateSignature"]


class TranslateResponseStrobe(data.StructLayout):
    """Response in the one cycle in which it is ``valid``."""

    def __init__(self):
        super().__init__({"valid": 1, "p": TranslateResponseLayout()})


class TranslateSignature(wiring.Signature):
    """Requests to a :class:`Translator`, seen from its client.

    Members
    -------
    request : Out(stream.Signature(TranslateRequestLayout(config)))
        Offered only while the client has room for the response.
    response : In(struct of valid and p: TranslateResponseLayout())
        Strobe; responses come in order.
    """

    def __init__(self, config: RoceConfig):
        super().__init__(
            {
                "request": Out(stream.Signature(TranslateRequestLayout(config))),
                "response": In(TranslateResponseStrobe()),
            }
        )
