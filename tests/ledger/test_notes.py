"""Signed notes and checkpoints."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import NoteInvalid
from ledger.notes import (
    ED25519,
    ML_DSA_44,
    Checkpoint,
    VerifierKey,
    b64_decode,
    cosigned_message,
    open_checkpoint,
    open_note,
    seal_note,
    signature_line,
)

ORIGIN = "registry.example/ledger"
ROOT = bytes(range(32))
HEAD = Checkpoint(ORIGIN, 20852163, ROOT)

# The example of golang.org/x/mod/sumdb/note, the first implementation.
PETER = VerifierKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
PETERS_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpR"
    "Zb6KE6RyyBwJnAM=\n"
)


class Signer:
    def __init__(self, name=ORIGIN):
        self.private = Ed25519PrivateKey.generate()
        self.key = VerifierKey(name, ED25519, self.private.public_key().public_bytes_raw())

    def line(self, text):
        return signature_line(self.key, self.private.sign(text.encode()))


def test_the_reference_implementations_note_opens():
    opened = open_note(PETERS_NOTE, [PETER])

    assert opened.signers == (PETER,)
    assert opened.text.endswith("what your problem is.\n")


def test_a_verifier_key_reads_back_as_itself():
    assert VerifierKey.parse(str(PETER)) == PETER
    assert VerifierKey.parse(f" {PETER}\n") == PETER


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+AQ==",
        "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+!!!!",
    ],
)
def test_a_verifier_key_that_is_not_one_is_refused(vkey):
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(vkey)


def test_a_checkpoint_is_three_lines():
    assert HEAD.text() == f"{ORIGIN}\n20852163\n{base64.b64encode(ROOT).decode()}\n"
    assert Checkpoint.parse(HEAD.text()) == HEAD
    assert Checkpoint.parse(HEAD.text() + "an extension line\n") == HEAD


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{ORIGIN}\n5\n",
        f"{ORIGIN}\n05\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n-5\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n5 \n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n٥\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n5\n{base64.b64encode(ROOT[:31]).decode()}\n",
        f"{ORIGIN}\n5\n{base64.urlsafe_b64encode(b'?' * 32).decode()}!\n",
        f"\n5\n{base64.b64encode(ROOT).decode()}\n",
        f"{ORIGIN}\n5\n{base64.b64encode(ROOT).decode()}",
        f"{ORIGIN}\n5\n{base64.b64encode(ROOT).decode()}\n\n",
    ],
)
def test_what_is_not_a_checkpoint_is_refused(text):
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(text)


def test_the_log_signs_and_anybody_with_its_key_reads():
    log = Signer()
    note = seal_note(HEAD.text(), log.line(HEAD.text()))

    assert open_checkpoint(note, [log.key]) == HEAD
    assert open_checkpoint(note, [VerifierKey.parse(str(log.key))], ORIGIN) == HEAD


def test_signatures_of_unknown_keys_are_ignored():
    log, twin, witness = Signer(), Signer(), Signer("witness.example/w1")
    lines = [witness.line(HEAD.text()), twin.line(HEAD.text()), log.line(HEAD.text())]
    lines += [Signer(f"w{number}.example").line("something else") for number in range(16)]
    note = seal_note(HEAD.text(), *lines)

    assert open_note(note, [log.key]).signers == (log.key,)
    assert open_note(note, [log.key, witness.key]).signers == (witness.key, log.key)


def test_a_wrong_signature_of_a_known_key_refuses_the_note():
    log, witness = Signer(), Signer("witness.example/w1")
    note = seal_note(HEAD.text(), log.line(HEAD.text()), witness.line("another text\n"))

    assert open_note(note, [log.key])
    with pytest.raises(NoteInvalid):
        open_note(note, [log.key, witness.key])


def test_a_note_that_no_known_key_signed_is_refused():
    note = seal_note(HEAD.text(), Signer().line(HEAD.text()))

    for keys in ([], [Signer().key], [PETER]):
        with pytest.raises(NoteInvalid):
            open_note(note, keys)


def test_a_witness_alone_does_not_speak_for_the_log():
    witness = Signer("witness.example/w1")
    note = seal_note(HEAD.text(), witness.line(HEAD.text()))

    with pytest.raises(NoteInvalid, match="the log itself"):
        open_checkpoint(note, [witness.key])


def test_a_checkpoint_of_another_log_is_refused():
    other = Signer("other.example/ledger")
    head = Checkpoint("other.example/ledger", 1, ROOT)
    note = seal_note(head.text(), other.line(head.text()))

    with pytest.raises(NoteInvalid):
        open_checkpoint(note, [other.key], ORIGIN)


def test_a_post_quantum_line_stands_beside_the_classic_one():
    log, private = Signer(), MLDSA44PrivateKey.generate()
    quantum = VerifierKey(ORIGIN, ML_DSA_44, private.public_key().public_bytes_raw())
    stamp = (1_790_000_000).to_bytes(8, "big")
    signature = stamp + private.sign(cosigned_message(ORIGIN, 1_790_000_000, HEAD))
    note = seal_note(HEAD.text(), log.line(HEAD.text()), signature_line(quantum, signature))

    assert open_note(note, [log.key]).signers == (log.key,)
    assert open_checkpoint(note, [log.key, quantum]) == HEAD
    assert open_checkpoint(note, [VerifierKey.parse(str(quantum))]) == HEAD
    with pytest.raises(NoteInvalid):
        open_note(note.replace("20852163", "20852164"), [quantum])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        "text\n\n— name\n",
        "text\n\n— name !!!!\n",
        "text\n\n- name AAAAAAAA\n",
        "text\n\n— name AAAA\n",
        "text\n\n— name AAAAAAAA",
        "\n\n— name AAAAAAAA\n",
        "te\x00xt\n\n— name AAAAAAAA\n",
        "te\rxt\n\n— name AAAAAAAA\n",
        "text\n\n" + "— name AAAAAAAA\n" * 65,
        "t" * (1 << 19) + "\n\n— name AAAAAAAA\n",
    ],
)
def test_what_is_not_a_note_is_refused(note):
    with pytest.raises(NoteInvalid):
        open_note(note, [PETER])


@given(st.text())
def test_no_text_makes_the_reader_stumble(text):
    for read in (lambda: open_note(text, [PETER]), lambda: Checkpoint.parse(text)):
        try:
            read()
        except NoteInvalid:
            continue


@given(st.integers(0, len(PETERS_NOTE) - 1), st.characters(codec="utf-8"))
def test_any_changed_character_of_a_note_is_refused(at, character):
    changed = PETERS_NOTE[:at] + character + PETERS_NOTE[at + 1 :]
    if changed == PETERS_NOTE:
        return

    with pytest.raises(NoteInvalid):
        open_note(changed, [PETER])


def test_base64_has_one_text_for_one_value():
    assert b64_decode("AA==") == b"\x00"
    for twin in ("AB==", "AA=", "AA", "AA==\n", "A A=="):
        with pytest.raises(NoteInvalid):
            b64_decode(twin)
