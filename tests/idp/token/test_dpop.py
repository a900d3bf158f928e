"""Which DPoP proofs hold (RFC 9449 §4.3): made by other people's tools, one thing changed."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from foundation.encryption import FieldCipher
from idp.protocol.errors import InvalidDpopProof, UseDpopNonce
from idp.token.dpop import Nonces, check_proof, refuse_early, same_url, token_hash
from tests.idp.proofs import Prover
from tests.idp.values import NOW, SECOND, a_client

URL = "https://id.example.gov.cn/oauth/token"
SECOND_URL = "https://mtls.id.example/oauth/token"
START = int(NOW.timestamp())
PROVER = Prover(lambda: NOW)
JTI = "j" * 22


@pytest.fixture
def nonces():
    return Nonces(FieldCipher(b"k" * 32))


@pytest.fixture
def checked(nonces):
    def check(text=None, *, method="POST", urls=(URL,), token="", now=NOW, **changes):
        if text is None:
            claims = {"jti": JTI, "nonce": nonces.current(now)} | changes
            text = PROVER.proof("POST", URL, **claims)
        return check_proof(
            text, method=method, urls=urls, now=now, nonces=nonces, access_token=token
        )

    return check


def refused(checked, *about, **changes):
    with pytest.raises(InvalidDpopProof) as caught:
        checked(*about, **changes)
    assert not isinstance(caught.value, UseDpopNonce)
    return caught.value.detail


def test_a_proof_that_holds_says_whose_key_it_is_and_when_it_may_be_forgotten(checked):
    proof = checked()

    assert (proof.jkt, proof.jti) == (PROVER.jkt, JTI)
    assert proof.issued_at == NOW
    assert proof.until == NOW.replace(minute=4, second=20)  # twenty seconds after its nonce


# ── 2. to 7.: the token and its key ──────────────────────────────────────────────────────────


def signed(nonces, *, key=PROVER.key, algorithm="ES256", **header):
    claims = {
        "jti": JTI,
        "htm": "POST",
        "htu": URL,
        "iat": START,
        "nonce": nonces.current(NOW),
    }
    given = {"typ": "dpop+jwt", "jwk": PROVER.jwk} | header
    return jwt.encode(claims, key, algorithm, headers=given)


RSA = rsa.generate_private_key(65537, 2048)
EDWARDS = ed25519.Ed25519PrivateKey.generate()
P384 = ec.generate_private_key(ec.SECP384R1())
OF_RSA = jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True)
OF_EDWARDS = jwt.algorithms.OKPAlgorithm.to_jwk(EDWARDS.public_key(), as_dict=True)
OF_P384 = jwt.algorithms.ECAlgorithm.to_jwk(P384.public_key(), as_dict=True)


def signed_with(nonces, algorithm, key, jwk):
    members = ("kty", "n", "e", "crv", "x", "y")
    public = {name: jwk[name] for name in members if name in jwk}
    return signed(nonces, key=key, algorithm=algorithm, jwk=public)


@pytest.mark.parametrize(
    ("algorithm", "key", "jwk"), [("PS256", RSA, OF_RSA), ("EdDSA", EDWARDS, OF_EDWARDS)]
)
def test_a_key_of_each_algorithm_may_sign(checked, nonces, algorithm, key, jwk):
    assert checked(signed_with(nonces, algorithm, key, jwk)).jti == JTI


@pytest.mark.parametrize(
    ("algorithm", "key", "jwk"), [("RS256", RSA, OF_RSA), ("ES384", P384, OF_P384)]
)
def test_a_key_of_another_algorithm_may_not(checked, nonces, algorithm, key, jwk):
    text = signed_with(nonces, algorithm, key, jwk)

    assert refused(checked, text).startswith("the DPoP proof does not verify: ")


def test_another_token_is_no_proof(checked, nonces):
    other = ec.generate_private_key(ec.SECP256R1())
    private = {**PROVER.jwk, "d": "d" * 43}

    for text in (
        "x",
        signed(nonces, typ="JWT"),
        signed(nonces, jwk=None),
        signed(nonces, jwk={"kty": "EC"}),
        signed(nonces, jwk=private),
        signed(nonces, key=other),
        signed(nonces, key=b"k" * 32, algorithm="HS256"),
    ):
        assert refused(checked, text).startswith("the DPoP proof does not verify: ")


def test_a_proof_has_at_most_4096_characters(checked, nonces):
    padded = next(
        text
        for size in range(2000, 4000)
        if len(text := PROVER.proof("POST", URL, jti=JTI, nonce=nonces.current(NOW), x="x" * size))
        >= 4096
    )
    assert len(padded) == 4096
    assert checked(padded).jti == JTI

    longer = PROVER.proof("POST", URL, jti=JTI, nonce=nonces.current(NOW), x="x" * 4000)
    assert refused(checked, longer) == "the DPoP proof is longer than 4096 characters"


# ── 8., 9.: the request ──────────────────────────────────────────────────────────────────────


def test_it_is_for_this_method(checked):
    said = "htm of the DPoP proof is not the method of this request"

    assert refused(checked, method="GET") == said
    assert refused(checked, htm="post") == said
    assert refused(checked, htm=None) == said


def test_it_is_for_this_address_or_the_second_one(checked):
    assert checked(urls=(SECOND_URL, URL)).jti == JTI
    assert checked(urls=(URL, SECOND_URL), htu=SECOND_URL).jti == JTI
    for htu in (None, "", "https://elsewhere.example/oauth/token", 1):
        assert refused(checked, urls=(URL, SECOND_URL), htu=htu) == (
            f"htu of the DPoP proof is not {URL}"
        )


@pytest.mark.parametrize(
    "given",
    [
        URL,
        "HTTPS://ID.example.gov.cn/oauth/token",
        "https://id.example.gov.cn:443/oauth/token",
        "https://id.example.gov.cn/oauth/token?x=1#y",
        "https://id.example.gov.cn/oauth/%74oken",
    ],
)
def test_spelling_query_and_fragment_make_no_other_address(given):
    assert same_url(given, URL)
    assert same_url(URL, given)


@pytest.mark.parametrize(
    "given",
    [
        None,
        1,
        "",
        "http://id.example.gov.cn/oauth/token",
        "https://id.example.gov.cn:444/oauth/token",
        "https://id.example.gov.cn:80/oauth/token",
        "https://id.example.gov.cn/oauth/Token",
        "https://id.example.gov.cn/oauth/token/",
        "https://user@id.example.gov.cn/oauth/token",
        "https://@id.example.gov.cn/oauth/token",
        "https://id.example.gov.cn\\/oauth/token",
        "https://id.example.gov.cn:x/oauth/token",
        "https://[id.example.gov.cn/oauth/token",
    ],
)
def test_another_address_is_another(given):
    assert not same_url(given, URL)


def test_ports_paths_and_lengths_at_their_limits():
    assert same_url("http://a", "http://a:80/")
    assert same_url("https://a", "https://a/")
    assert same_url("ftp://a:7/x", "ftp://a:7/x")
    assert not same_url("ftp://a:1/x", "ftp://a/x")
    assert not same_url("http://a/", "http://b/")
    assert same_url("urn:x", "urn:x")
    assert not same_url("urn:x", "https://x")
    assert not same_url("https:/a", "https://xxxx/a")
    assert not same_url("https://a/\\", "https://a/\\")
    longest = "https://a/" + "x" * 2038
    assert same_url(longest, longest)
    assert not same_url(longest + "x", longest + "x")


# ── 10.: the nonce ───────────────────────────────────────────────────────────────────────────


def test_a_nonce_is_good_for_its_own_two_minutes_and_the_two_after(nonces):
    start = NOW.replace(minute=0, second=0)
    nonce = nonces.current(start)
    last = start + timedelta(minutes=2) - SECOND
    end = start + timedelta(minutes=4)

    assert nonces.current(last) == nonce
    assert nonces.current(last + SECOND) != nonce
    for now in (start, last, last + SECOND, end - SECOND):
        assert nonces.last_moment(nonce, now) == end
    for now in (end, start - SECOND):
        assert nonces.last_moment(nonce, now) is None
    for other in ("", nonce[:-1], "é" * 32, None, 1):
        assert nonces.last_moment(other, start) is None


def test_a_nonce_is_short_and_every_process_under_the_same_key_makes_the_same(nonces):
    nonce = nonces.current(NOW)

    assert len(nonce) == 32
    assert Nonces(FieldCipher(b"k" * 32)).current(NOW) == nonce
    assert Nonces(FieldCipher(b"o" * 32)).current(NOW) != nonce
    stretch = str(START // 120)
    assert nonce == FieldCipher(b"k" * 32).blind_index(stretch, "dpop nonce")[:32]


@pytest.mark.parametrize("nonce", [None, "", "x" * 32, 1])
def test_without_a_nonce_of_ours_it_is_to_be_sent_again_with_one(checked, nonce):
    with pytest.raises(UseDpopNonce) as caught:
        checked(nonce=nonce)

    said = "the DPoP proof needs the nonce of this answer's DPoP-Nonce header"
    assert caught.value.detail == said


# ── 11.: now, once ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("iat", [0, START - 7200.5, START + 7200, (1 << 34) - 1])
def test_its_age_is_the_nonce_s_whatever_its_sender_s_clock_says(checked, iat):
    proof = checked(iat=iat)

    assert proof.issued_at == datetime.fromtimestamp(iat, UTC)
    assert proof.until == NOW.replace(minute=4, second=20)


@pytest.mark.parametrize("iat", [None, True, "1", -1, 1 << 34, [START]])
def test_what_is_no_time_is_refused(checked, iat):
    assert refused(checked, iat=iat) == "iat of the DPoP proof is not a time"


def test_a_client_of_the_strict_profile_sends_none_from_the_future(checked):
    strict = a_client(profile="fapi2", token_endpoint_auth_method="private_key_jwt")

    refuse_early(checked(iat=START + 60), strict, NOW)
    refuse_early(checked(iat=START + 61), a_client(), NOW)
    with pytest.raises(InvalidDpopProof) as caught:
        refuse_early(checked(iat=START + 60.5), strict, NOW)
    said = "iat of the DPoP proof is more than 60 seconds ahead of our clock"
    assert caught.value.detail == said


@pytest.mark.parametrize("jti", ["x", "x" * 256])
def test_it_has_a_name(checked, jti):
    assert checked(jti=jti).jti == jti


@pytest.mark.parametrize("jti", [None, "", "x" * 257, 7])
def test_without_a_name_it_could_not_be_told_from_its_copy(checked, jti):
    assert refused(checked, jti=jti) == "the DPoP proof needs a jti"


# ── 12.: the access token ────────────────────────────────────────────────────────────────────


def test_it_names_the_access_token_that_comes_along(checked):
    said = "ath of the DPoP proof is not the hash of this access token"

    assert checked(token="token", ath=token_hash("token")).jti == JTI
    assert checked(ath=token_hash("token")).jti == JTI
    assert refused(checked, token="token") == said
    assert refused(checked, token="token", ath=token_hash("other")) == said


def test_where_no_access_token_comes_along_it_names_none(nonces):
    text = PROVER.proof("POST", URL, nonce=nonces.current(NOW))

    assert check_proof(text, method="POST", urls=[URL], now=NOW, nonces=nonces).jkt == PROVER.jkt


def test_the_hash_of_a_token_is_as_the_standard_s_example():
    """RFC 9449 §7.1."""
    token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"

    assert token_hash(token) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
