"""The refusals and silences of buckets' servers: what they say themselves, and what to do about it.

The libraries of the clouds put the server's own words behind their own, or leave them out of the
first line, and tell of a network in the words of their insides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from itertools import islice

from dag.core.web import PROXY_LOGIN, TOO_LARGE_FOR_SERVER, redact_text
from dag.io.connections import CLOSED_TO_POD, is_in_pod
from dag.io.retries import RetryPolicy
from dag.io.store.objects import CONDITIONS_HINT, HINT, StoreError
from dag.io.web import ANOTHER_SERVER, OUT_OF_DATE

_CODE = re.compile(r"<Code>\s*([^<\s][^<]{0,99})</Code>")
_MESSAGE = re.compile(r"<Message>\s*([^<]{1,600})")
_REGION = re.compile(r"<Region>\s*([a-z0-9-]{1,40})\s*</Region>|expecting '([a-z0-9-]{1,40})'")
_INSIDES = "Debug source:"
"""What obstore puts between an error's own words and its parts, as Rust writes them."""
_PART = re.compile(r'\b(?:message|error): "([^"\\]{1,200})"')
_CERTIFICATE = re.compile(r"InvalidCertificate\((?:\s*\w+\()*\s*(\w{1,60})")
_BODY = re.compile(
    r"(?<![:\s])[:\s]*\ufeff?<(?:\?xml|!DOCTYPE|html|Error)\b.*", re.DOTALL | re.IGNORECASE
)
_LONGEST = 500

_TRUST = (
    "is that the right server? Then $SSL_CERT_FILE must name a file with its CA, for gs:// also"
    " $REQUESTS_CA_BUNDLE"
)
_NETWORK = "does the network of this machine lead there?"
_NETWORK_OF_POD = f"{CLOSED_TO_POD} --reach of `dag setup cluster` and of `dag setup signer` leaves an address open."
_OWN_SERVER = (
    " A server of one's own is named by $AWS_ENDPOINT_URL, $AZURE_STORAGE_ENDPOINT or"
    " $STORAGE_EMULATOR_HOST"
)
_KEY = (
    "that server does not know the key that the environment has: is it whole, and for there? A proxy in"
    " between has to pass on the Host that it was asked for, with the port"
)
_REGION_HINT = "$AWS_REGION must name the region of that bucket"
_MISSING_HINT = "make it first, or is its name right?"
_LASTING = frozenset({_REGION_HINT, _MISSING_HINT, CONDITIONS_HINT})
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes
# https://cloud.google.com/storage/docs/json_api/v1/status-codes
_HINTS = (
    (
        r"RequestTimeTooSkewed|RequestExpired|date header too old|reasonable timeframe",
        "set the clock of this machine, which is too far from the server's",
    ),
    (
        r"InvalidCertificate\(\s*(?:Expired|NotValidYet)|certificate (?:has expired|is not yet valid)",
        OUT_OF_DATE,
    ),
    (
        r"NotValidForName|(?:Hostname|IP address) mismatch|doesn't match",
        ANOTHER_SERVER,
    ),
    (
        r"ExpiredToken|TokenRefreshRequired|InvalidToken|invalid_grant|Reauthentication|(?:is|has) expired",
        "log in again, or renew the Secret of --bucket-secret: those credentials have run out",
    ),
    (
        r"PermanentRedirect|redirect without LOCATION|AuthorizationHeaderMalformed|IllegalLocation",
        _REGION_HINT,
    ),
    (
        r"InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed",
        _KEY,
    ),
    (
        r"NoSuchBucket|ContainerNotFound|bucket does not exist",
        _MISSING_HINT,
    ),
    (
        r"NotImplemented|\b501 [A-Z]",
        CONDITIONS_HINT,
    ),
    (
        r"EntityTooLarge|RequestBodyTooLarge|\b413 [A-Z]",
        TOO_LARGE_FOR_SERVER,
    ),
    (r"ProxyAuthRequired|\b407 [A-Z]", PROXY_LOGIN),
    (r"CERTIFICATE_VERIFY_FAILED|InvalidCertificate|SSLError", _TRUST),
    (
        r"SlowDown|ServerBusy|InternalError|ServiceUnavailable|\b(?:408|429|50[0234]) [A-Z]",
        "that may pass: try again later, or ask who runs that server",
    ),
    (
        r"error sending request|ConnectionPool\(|Connection (?:aborted|broken)|kind: Timeout",
        _NETWORK,
    ),
)


def bucket_error(where: str, error: BaseException) -> StoreError:
    """Return the error for a bucket whose server refused or did not answer, with what to do then."""
    text = str(error).strip()
    said, _, insides = text.partition(_INSIDES)
    hint = next((hint for words, hint in _HINTS if re.search(words, text)), HINT)
    if hint == _NETWORK:
        hint = (_NETWORK_OF_POD if is_in_pod() else _NETWORK) + _OWN_SERVER
    region = _REGION.search(text) if hint == _REGION_HINT else None
    which = f", which is {region[1] or region[2]}" if region else ""
    found = StoreError(f"{where}: {_words(error, said, insides)}", hint=hint + which)
    found.lasts = hint in _LASTING
    return found


def tries() -> Iterator[float]:
    """Yield for each attempt at what others may be changing how long to wait if it failed, in seconds."""
    policy = RetryPolicy(attempts=6, first=0.1)
    return islice(policy.pauses(), policy.attempts)


def unsettled(address: str) -> StoreError:
    """Return the error for an object of which a server says now that it is there, now that it is not."""
    return StoreError(
        f"{address}: the server says both that it is there and that it is not, again and again",
        hint="others change it all the time, or the server has lost it: look at it, and delete it if"
        " nobody writes there",
    )


def _words(error: BaseException, said: str, insides: str) -> str:
    plain = " ".join(_BODY.sub("", said).split()) or type(error).__name__
    if code := _CODE.search(said):
        message = _MESSAGE.search(said)
        name = code[1].rstrip()
        told = f"{name}: {' '.join(unescape(message[1]).split())}" if message else name
    elif certificate := _CERTIFICATE.search(insides):
        told = f"its certificate is not trusted ({certificate[1]})"
    else:
        told = next((part[1] for part in _PART.finditer(insides)), "")
    told = told if told not in plain else ""
    return redact_text(f"{plain[:_LONGEST]}{told and f': {told[:_LONGEST]}'}")
