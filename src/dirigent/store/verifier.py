"""Checks an audit chain from its export, with a public key and, where there are some, earlier anchors.

This one file stands alone: with Python 3.11 and the package `cryptography` it works wherever it is copied to.
Longer than 400 lines, because of that: an auditor gets one file to read and to run.

    python verifier.py audit.jsonl --key audit.pub --anchor anchors.jsonl
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from binascii import unhexlify
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

__all__ = ["Checkpoint", "Fault", "Verdict", "genesis", "linked", "public_key", "signed_bytes", "verify"]

FaultKind = Literal["changed", "missing", "extra", "order", "truncated", "forked", "clock", "unsigned", "signature"]
_ENTRY = re.compile(rb'\{"hash":"([0-9a-f]{64})","entry":\{"seq":(\d+),"at":(\d+),"tenant":"([^"\\]*)",')
_START, _END = 83, -2
"""Where the entry stands in its line."""
_PATIENCE = 600_000
"""Milliseconds after which an entry must be covered by a signature; a node that runs takes a tenth of it at most."""
_MOST_FAULTS = 100
_LIMITS = (
    "that what was written down is true: whoever wrote an entry could write a false one",
    "that everything was written down: what never entered the chain leaves no gap",
    "anything about what no signature covers yet",
    "anything against somebody who holds the private key, except as far as anchors out of their reach agree",
)


def genesis(tenant: str) -> bytes:
    """What the first entry of a tenant continues."""
    return hashlib.sha256(b"dirigent audit 1\n" + tenant.encode()).digest()


def linked(before: bytes, entry: bytes) -> bytes:
    """The hash of an entry that continues the one with the hash `before`."""
    return hashlib.sha256(before + hashlib.sha256(entry).digest()).digest()


def signed_bytes(statement: str) -> bytes:
    """What a signature on a statement is made over."""
    return b"dirigent audit checkpoint 1\n" + statement.encode()


def public_key(text: str) -> str:
    """The key in a PEM file or in 64 hex digits, as hex. Raises ValueError."""
    if re.fullmatch(r"[0-9a-f]{64}", text.strip()):
        return text.strip()
    loaded = load_pem_public_key(text.encode())
    if not isinstance(loaded, Ed25519PublicKey):
        raise ValueError("the key is none of Ed25519")  # noqa: TRY004 -- the value of a file is wrong, not a type
    return loaded.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


@dataclass(frozen=True)
class Checkpoint:
    """A signed statement of what the chain was like up to one of its entries."""

    statement: str
    key: str
    signature: str
    seq: int
    hash: str
    tenant: str
    kind: str
    number: int
    before: str
    at: int
    since: int

    @classmethod
    def read(cls, raw: dict[str, str]) -> Checkpoint:
        """A checkpoint from an export, an anchor or a table; what is none any more is of the kind `unreadable`."""
        try:
            said = json.loads(raw["statement"])
            return cls(
                statement=raw["statement"],
                key=raw["key"],
                signature=raw["signature"],
                seq=int(said["seq"]),
                hash=str(said["hash"]),
                tenant=str(said["tenant"]),
                kind=str(said["kind"]),
                number=int(said["number"]),
                before=str(said["before"]),
                at=int(said["at"]),
                since=int(said["since"]),
            )
        except (KeyError, TypeError, ValueError):
            known = {name: str(raw.get(name, "")) for name in ("statement", "key", "signature")}
            return cls(**known, seq=0, hash="", tenant="", kind="unreadable", number=0, before="", at=0, since=1)

    @property
    def digest(self) -> str:
        """What the next checkpoint names as the one before it."""
        return hashlib.sha256(self.statement.encode()).hexdigest()

    def holds(self) -> bool:
        """Whether its signature is of its key."""
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            key.verify(bytes.fromhex(self.signature), signed_bytes(self.statement))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and at which entry."""

    kind: FaultKind
    seq: int
    words: str


@dataclass
class Verdict:
    """What a verification found."""

    tenant: str
    ok: bool = True
    entries: int = 0
    first: int = 0
    last: int = 0
    head: str = ""
    checkpoints: int = 0
    signed: int = 0
    """The entry up to which trusted signatures vouch."""
    anchors: int = 0
    """How many anchors agree."""
    keys: list[str] = field(default_factory=list)
    """Whose signatures were met."""
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_proved: list[str] = field(default_factory=lambda: list(_LIMITS))

    def fault(self, kind: FaultKind, seq: int, words: str) -> None:
        """Notes that something is wrong."""
        self.ok = False
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Fault(kind, seq, words))


def verify(
    tenant: str,
    entries: Iterable[bytes],
    checkpoints: Sequence[Checkpoint],
    *,
    anchors: Sequence[Checkpoint] = (),
    trusted: Sequence[str] = (),
    head: tuple[int, str] | None = None,
    start: tuple[int, str] | None = None,
    patience: int = _PATIENCE,
) -> Verdict:
    """Checks the lines of a chain in their order; with no trusted key, signatures count whoever made them.

    `head` is where the chain says that it ends, and `start` from where on it is looked at, instead of its beginning. An
    entry that no signature covers `patience` milliseconds later is a fault.
    """
    verdict = Verdict(tenant)
    vouching = _vouching(verdict, checkpoints, trusted)
    agreeing = _anchored(verdict, anchors, trusted)
    pruned = max((point for point in vouching if point.kind == "pruned"), key=lambda point: point.seq, default=None)
    begin = start or ((pruned.seq, pruned.hash) if pruned is not None else (0, genesis(tenant).hex()))
    walk = _Walk(verdict, vouching, agreeing, begin, patience)
    walk.along(entries)
    walk.finish(head)
    if not trusted:
        verdict.not_proved.insert(0, "whose signatures these are: no public key was given to compare them with")
    return verdict


class _Walk:
    """A walk along the chain, with each signed place compared as it is passed."""

    def __init__(
        self,
        verdict: Verdict,
        vouching: Sequence[Checkpoint],
        anchors: Sequence[Checkpoint],
        begin: tuple[int, str],
        patience: int,
    ) -> None:
        self.verdict = verdict
        self.start = self.seq = begin[0]
        self.hash = bytes.fromhex(begin[1])
        self.at = 0
        self.patience = patience
        self.due: dict[int, list[tuple[Checkpoint, bool]]] = {}
        for points, foreign in ((vouching, False), (anchors, True)):
            for point in points:
                self.due.setdefault(point.seq, []).append((point, foreign))
        self.unsigned_since: int | None = None
        self._pass(self.seq)

    def along(self, lines: Iterable[bytes]) -> None:
        verdict, due, tenant = self.verdict, self.due, self.verdict.tenant.encode()
        match, sha256, raw = _ENTRY.match, hashlib.sha256, unhexlify
        seq, before, at, count = self.seq, self.hash, self.at, 0
        for line in lines:
            met = match(line)
            count += 1
            if met is None or line[-3:] != b"}}\n":
                verdict.fault("changed", seq + 1, f"line {count} after entry {seq} is no entry")
                continue
            claimed, number, moment, owner = met.groups()
            place, time, hash_ = int(number), int(moment), raw(claimed)
            found = sha256(before + sha256(line[_START:_END]).digest()).digest()
            if place != seq + 1:
                self._misplaced(seq, place)
            if found != hash_ and place == seq + 1:
                verdict.fault("changed", place, f"entry {place} is not what was written, or does not continue {seq}")
            if time < at:
                verdict.fault("clock", place, f"entry {place} is older than the one before it, by {at - time} ms")
            if owner != tenant:
                verdict.fault("changed", place, f"entry {place} is of another tenant")
            if not verdict.first:
                verdict.first = place
            seq, before, at = place, hash_, time  # goes on from what it claims to be
            if self.unsigned_since is None:
                self.unsigned_since = time
            if seq in due:
                self.seq, self.hash, self.at = seq, before, at
                self._pass(seq)
        self.seq, self.hash, self.at = seq, before, at
        verdict.entries += count

    def _misplaced(self, seq: int, place: int) -> None:
        verdict = self.verdict
        if seq == self.start:
            verdict.fault("missing", seq + 1, f"the chain begins with entry {place}, and nobody signed its pruning")
        elif place > seq + 1:
            verdict.fault("missing", seq + 1, f"the entries {seq + 1} to {place - 1} are missing")
        elif place == seq:
            verdict.fault("extra", place, f"there is a second entry {place}")
        else:
            verdict.fault("order", place, f"entry {place} stands after entry {seq}")

    def _pass(self, seq: int) -> None:
        """Compares what was signed at this place with what is there."""
        verdict = self.verdict
        for point, foreign in self.due.pop(seq, ()):
            whose = "an anchor" if foreign else f"the checkpoint {point.number}"
            if point.hash != self.hash.hex():
                verdict.fault("forked", seq, f"{whose} vouches for another history up to entry {seq}")
                continue
            if foreign:
                verdict.anchors += 1
            else:
                verdict.signed = max(verdict.signed, seq)
            if point.at < self.at:
                verdict.fault("clock", seq, f"{whose} was signed before the time that entry {seq} names")
            if not foreign:
                self.unsigned_since = None

    def finish(self, head: tuple[int, str] | None) -> None:
        verdict = self.verdict
        verdict.last, verdict.head = self.seq, self.hash.hex()
        for seq, points in sorted(self.due.items()):
            for point, foreign in points:
                whose = "an anchor" if foreign else f"the checkpoint {point.number}"
                if seq > self.seq:
                    verdict.fault("truncated", self.seq, f"{whose} knows entry {seq}; the chain ends at {self.seq}")
                elif seq > self.start:
                    verdict.fault("missing", seq, f"{whose} vouches for entry {seq}, which is not there")
                elif foreign:
                    verdict.notes.append(f"the anchor at entry {seq} lies in what was pruned")
        if head is not None and head[0] > self.seq:
            verdict.fault("truncated", self.seq, f"the chain ends at {self.seq} and was {head[0]} entries long")
        elif head is not None and head[0] == self.seq and head[1] != self.hash.hex():
            verdict.fault("changed", self.seq, f"entry {self.seq} is not the one that the chain ends with")
        if self.unsigned_since is not None:
            open_ = self.seq - max(verdict.signed, self.start)
            verdict.notes.append(f"{open_} entries after the last signature are covered by none yet")
            if self.at - self.unsigned_since > self.patience:
                words = f"the entries after {verdict.signed} span {(self.at - self.unsigned_since) // 1000} s unsigned"
                verdict.fault("unsigned", verdict.signed + 1, words)


def _vouching(verdict: Verdict, checkpoints: Sequence[Checkpoint], trusted: Sequence[str]) -> list[Checkpoint]:
    """The checkpoints that count, after a look at their own chain: numbered, linked, signed in the order of time."""
    believed = [point for point in checkpoints if not trusted or point.key in trusted]
    since = max((point.since for point in believed if point.kind == "pruned" and point.holds()), default=1)
    expected, before, at, seq = since, "", 0, 0
    vouching: list[Checkpoint] = []
    for point in sorted(checkpoints, key=lambda point: point.number):
        verdict.checkpoints += 1
        if point.key not in verdict.keys:
            verdict.keys.append(point.key)
        if point.tenant != verdict.tenant or not point.holds():
            verdict.fault("signature", point.seq, f"the signature on the checkpoint {point.number} is not good")
        elif trusted and point.key not in trusted:
            verdict.notes.append(f"the checkpoint {point.number} is signed by a key that was not given: {point.key}")
        else:
            vouching.append(point)
        if point.number != expected:
            verdict.fault("missing", point.seq, f"the checkpoints {expected} to {point.number - 1} are missing")
        elif before and point.before != before:
            verdict.fault("forked", point.seq, f"the checkpoint {point.number} continues another one than is there")
        if point.at < at:
            verdict.fault("clock", point.seq, f"the checkpoint {point.number} is older than the one before it")
        if point.seq < seq and point.kind != "pruned":
            verdict.fault("order", point.seq, f"the checkpoint {point.number} vouches for less than the one before it")
        expected, before, at = point.number + 1, point.digest, point.at
        seq = max(seq, point.seq)
    return vouching


def _anchored(verdict: Verdict, anchors: Sequence[Checkpoint], trusted: Sequence[str]) -> list[Checkpoint]:
    """The anchors of this chain; one that was tampered with is told, and so are two that contradict each other."""
    good: dict[int, Checkpoint] = {}
    for point in anchors:
        if point.tenant != verdict.tenant and point.kind != "unreadable":
            continue
        if not point.holds() or (trusted and point.key not in trusted):
            verdict.fault("signature", point.seq, f"the signature on the anchor at entry {point.seq} is not good")
            continue
        if good.setdefault(point.seq, point).hash != point.hash:
            verdict.fault("forked", point.seq, f"two anchors vouch for different histories up to entry {point.seq}")
    return list(good.values())


def read_export(path: Path) -> tuple[dict[str, Any], list[Checkpoint], Iterator[bytes]]:
    """The head of an export, its checkpoints, and its entries as they come. Raises ValueError, OSError."""
    file = path.open("rb")
    head = json.loads(file.readline() or b"{}").get("chain")
    if not isinstance(head, dict):
        raise ValueError(f"{path} is no export of an audit chain")  # noqa: TRY004 -- a file is wrong, not a type
    points: list[Checkpoint] = []
    line = b""
    for line in file:
        if not line.startswith(b'{"checkpoint":'):
            break
        points.append(Checkpoint.read(json.loads(line)["checkpoint"]))
    else:
        line = b""

    def entries() -> Iterator[bytes]:
        with file:
            if line:
                yield line
            yield from file

    return head, points, entries()


def read_anchors(path: Path) -> list[Checkpoint]:
    """The anchors in a file of lines. Raises ValueError, OSError."""
    with path.open("rb") as file:
        return [Checkpoint.read(json.loads(line)["checkpoint"]) for line in file if line.strip()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Verifies an export; 0 where all is well, 1 where it is not, 2 where it cannot be read."""
    parser = argparse.ArgumentParser(prog="verifier", description="Checks the export of an audit chain of Dirigent.")
    parser.add_argument("export", type=Path, help="what `dirigent audit export` wrote")
    parser.add_argument("--key", type=Path, action="append", default=[], help="a public key to trust (PEM or hex)")
    parser.add_argument("--anchor", type=Path, action="append", default=[], help="checkpoints kept at another place")
    parser.add_argument("--json", action="store_true", help="the verdict as JSON")
    given = parser.parse_args(arguments)
    try:
        head, points, entries = read_export(given.export)
        trusted = [public_key(path.read_text()) for path in given.key]
        anchors = [anchor for path in given.anchor for anchor in read_anchors(path)]
        end = (int(head["seq"]), str(head["hash"]))
        verdict = verify(head["tenant"], entries, points, anchors=anchors, trusted=trusted, head=end)
    except (OSError, ValueError, KeyError) as fault:
        sys.stderr.write(f"this cannot be verified: {fault}\n")
        return 2
    sys.stdout.write(json.dumps(asdict(verdict)) + "\n" if given.json else _told(verdict))
    return 0 if verdict.ok else 1


def _told(verdict: Verdict) -> str:
    """The verdict for people."""
    lines = [
        f"tenant {verdict.tenant}: {verdict.entries} entries, {verdict.first} to {verdict.last}",
        f"signed up to entry {verdict.signed} by {', '.join(verdict.keys) or 'nobody'}",
        f"anchors that agree: {verdict.anchors}",
        *(f"FAULT  {fault.kind} at entry {fault.seq}: {fault.words}" for fault in verdict.faults),
        *(f"note   {note}" for note in verdict.notes),
        "This does not prove:",
        *(f"  - {limit}" for limit in verdict.not_proved),
        "The chain is whole." if verdict.ok else "The chain is NOT whole.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
