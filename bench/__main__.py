"""`make bench`: our path against the bare engine, same far ends, same engine, same run, interleaved. Ratios only."""

import argparse
import asyncio
import json
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from itertools import count

from bench.farends import Invalid, finish
from bench.rig import Rig
from bench.wire import Wire

WARM_UP = 60
SPREAD = 0.15
_numbers = count(1)


@dataclass(frozen=True)
class Profile:
    """`calls` at `cps`, each held `hold` seconds after A's answer."""

    calls: int
    cps: float
    hold: float
    media: bool = False
    record: bool = False


PROFILES = {
    "signalling": Profile(360, 60, 1.5),
    "media": Profile(40, 20, 10, media=True),
    "recording": Profile(40, 20, 10, media=True, record=True),
}


@dataclass
class Round:
    """What one side cost in one round; milliseconds, CPU per call."""

    side: str
    engine_ms: float
    product_ms: float
    a_p50: float | None = None
    a_p99: float | None = None
    b_p50: float | None = None
    b_p99: float | None = None


async def one_round(rig: Rig, side: str, profile: Profile) -> Round:
    """Place the calls and wait for the last; Invalid when a far end missed one."""
    far = rig.far.start(profile.calls, round(profile.hold * 1000), media=profile.media)
    await asyncio.to_thread(_listening, rig)
    place = rig.ours if side == "ours" else rig.bare
    posted: dict[str, float] = {}
    pairs = []
    before = rig.cpu()
    with _Maybe(rig) as wire:
        start = time.monotonic()
        tasks = []
        for n in range(profile.calls):
            number = next(_numbers)
            a, b = f"48{20000000 + number}", f"489{90000000 + number}"
            pairs.append((a, b))
            await _until(start + n / profile.cps)
            posted[a] = time.monotonic()
            tasks.append(asyncio.create_task(place(a, b, record=profile.record)))
        await asyncio.gather(*tasks)
        good = await asyncio.to_thread(finish, far, profile.hold + 30)
    cost = rig.cpu().since(before)
    if not good:
        raise Invalid(f"{side}: the far ends did not see {profile.calls} whole calls")
    result = Round(side, 1000 * cost.engine / profile.calls, 1000 * cost.product / profile.calls)
    if wire is not None:
        a_delay = [wire.invites[a] - posted[a] for a, _ in pairs if a in wire.invites]
        b_delay = [wire.invites[b] - wire.answers[a] for a, b in pairs if a in wire.answers and b in wire.invites]
        if min(len(a_delay), len(b_delay)) < profile.calls * 0.98:
            raise Invalid(f"{side}: only {len(a_delay)} and {len(b_delay)} INVITEs were seen on the wire")
        result.a_p50, result.a_p99 = _quantiles(a_delay)
        result.b_p50, result.b_p99 = _quantiles(b_delay)
    return result


class _Maybe:
    """The wire where this process may listen, else nothing: latencies are then left out."""

    def __init__(self, rig: Rig) -> None:
        self._wire = Wire(rig.far.a_port, rig.far.b_port) if Wire.allowed() else None

    def __enter__(self) -> Wire | None:
        return self._wire.__enter__() if self._wire else None

    def __exit__(self, *exc: object) -> None:
        if self._wire:
            self._wire.__exit__(*exc)


def _listening(rig: Rig) -> None:
    """Wait until both far ends have their sockets."""
    deadline = time.monotonic() + 5
    wanted = {f"{port:04X}" for port in (rig.far.a_port, rig.far.b_port)}
    while time.monotonic() < deadline:
        with open("/proc/net/udp") as table:
            open_ports = {line.split()[1].rpartition(":")[2] for line in table if ":" in line.split()[1]}
        if wanted <= open_ports:
            return
    raise Invalid("the far ends do not listen")


async def _until(when: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, when - time.monotonic())):
            await asyncio.Event().wait()
    except TimeoutError:
        return


def _quantiles(delays: list[float]) -> tuple[float, float]:
    ordered = sorted(delays)
    return 1000 * statistics.median(ordered), 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


async def run(name: str, rounds: int) -> int:
    profile = PROFILES[name]
    rig = Rig()
    await rig.start()
    done: list[Round] = []
    try:
        for side in ("bare", "ours"):
            await one_round(rig, side, Profile(WARM_UP, 30, 0.5))
        for _ in range(rounds):
            for side in ("bare", "ours"):
                done.append(await one_round(rig, side, profile))
                print(json.dumps({"perfil": name, "kernel": platform.release(), **asdict(done[-1])}), flush=True)
    except Invalid as reason:
        print(f"INVALID: {reason}")
        return 1
    finally:
        await rig.stop()
    return report(name, done)


def report(name: str, done: list[Round]) -> int:
    """The table of per-round ratios: median, least and greatest."""
    bare = [one for one in done if one.side == "bare"]
    ours = [one for one in done if one.side == "ours"]
    costs = [one.engine_ms for one in bare]
    if (max(costs) - min(costs)) / statistics.median(costs) > SPREAD:
        print(f"INVALID: the bare engine itself varied by more than {SPREAD:.0%}: {costs}")
        return 1
    print(f"\n{name}: {len(ours)} rounds, ours / bare engine    median   min   max")
    _row("CPU of the engine per call", [o.engine_ms / b.engine_ms for o, b in zip(ours, bare, strict=True)])
    _row(
        "CPU of engine + product per call",
        [(o.engine_ms + o.product_ms) / b.engine_ms for o, b in zip(ours, bare, strict=True)],
    )
    for label, key in (
        ("POST to A's INVITE, added p50 ms", "a_p50"), ("POST to A's INVITE, added p99 ms", "a_p99"),
        ("A's 200 to B's INVITE, added p50 ms", "b_p50"), ("A's 200 to B's INVITE, added p99 ms", "b_p99"),
    ):  # fmt: skip
        if bare[0].a_p50 is not None:
            _row(label, [getattr(o, key) - getattr(b, key) for o, b in zip(ours, bare, strict=True)])
    return 0


def _row(label: str, values: list[float]) -> None:
    print(f"{label:44} {statistics.median(values):6.2f} {min(values):6.2f} {max(values):6.2f}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--profile", choices=PROFILES, default="signalling")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    return asyncio.run(run(options.profile, options.rounds))


if __name__ == "__main__":
    sys.exit(main())
