"""Every proof passes."""

import pytest

from tb.prove import Proof, proofs, prove


@pytest.mark.parametrize("proof", list(proofs()), ids=lambda proof: proof.name)
def test_proof(proof: Proof):
    verdict = prove(proof)
    assert verdict.proved, f"{verdict.status}; see {verdict.folder}"
