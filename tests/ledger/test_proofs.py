"""The offline proof file."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import EvidenceInvalid, NoteInvalid, ProofInvalid
from ledger.merkle import leaf_hash
from ledger.notes import ED25519, Checkpoint, VerifierKey, seal_note, signature_line
from ledger.proofs import Proof, verify_proof, write_proof
from ledger.tiles import Edge, Tree

ORIGIN = "registry.example/ledger"
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"a key for tests, of 32 bytes ok.")
KEY = VerifierKey(ORIGIN, ED25519, PRIVATE.public_key().public_bytes_raw())
ENTRIES = [str(index).encode() for index in range(600)]


def proof_of(index, size, extra=b""):
    edge, tiles = Edge().grow(map(leaf_hash, ENTRIES[:size]))
    tree = Tree(size, lambda level, number, width: tiles[level, number][: 32 * width])
    text = Checkpoint(ORIGIN, size, edge.root()).text()
    note = seal_note(text, signature_line(KEY, PRIVATE.sign(text.encode())))
    return write_proof(index, tree.inclusion(index), note, extra)


PROOF = proof_of(70, 300)


def test_a_proof_file_has_the_standards_form():
    lines = PROOF.split("\n")

    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 70"]
    assert lines[lines.index("") + 1 :][:2] == [ORIGIN, "300"]
    assert PROOF.endswith("\n")


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513, 600])
def test_a_proof_of_any_entry_verifies(size):
    for index in {0, size // 2, size - 1}:
        verified = verify_proof(ENTRIES[index], proof_of(index, size), [str(KEY)], ORIGIN)

        assert (verified.index, verified.checkpoint.size) == (index, size)
        with pytest.raises(ProofInvalid):
            verify_proof(ENTRIES[index] + b" ", proof_of(index, size), [KEY])


def test_a_file_that_carries_its_entry_reads_back():
    text = proof_of(70, 300, extra=ENTRIES[70])
    proof = Proof.parse(text)

    assert proof.extra == ENTRIES[70]
    assert str(proof) == text
    assert verify_proof(proof.extra, text, [KEY]).index == 70


def test_a_proof_under_another_key_or_origin_is_refused():
    stranger = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    for keys, origin in (([], ""), ([VerifierKey(ORIGIN, ED25519, stranger)], ""), ([KEY], "x.y")):
        with pytest.raises(NoteInvalid):
            verify_proof(ENTRIES[70], PROOF, keys, origin)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "",
        lambda text: text.replace("@v1", "@v2"),
        lambda text: text.replace("index 70", "index 070"),
        lambda text: text.replace("index 70", "index -1"),
        lambda text: text.replace("index 70", "index 71"),
        lambda text: text.replace("index 70\n", ""),
        lambda text: text.replace("index 70\n", "index 70\nAAAA\n"),
        lambda text: text.replace("index 70\n", "index 70\n!\n"),
        lambda text: text.replace("\n\n", "\n", 1),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n" + text,
    ],
)
def test_a_proof_that_was_changed_is_refused(change):
    with pytest.raises(EvidenceInvalid):
        verify_proof(ENTRIES[70], change(PROOF), [KEY])


@given(st.integers(0, len(PROOF) - 1), st.characters(codec="utf-8"))
def test_any_changed_character_is_refused(at, character):
    changed = PROOF[:at] + character + PROOF[at + 1 :]
    if changed == PROOF:
        return

    with pytest.raises(EvidenceInvalid):
        verify_proof(ENTRIES[70], changed, [KEY])


@given(st.text())
def test_no_text_makes_the_reader_stumble(text):
    with pytest.raises(ProofInvalid):
        Proof.parse(text)
