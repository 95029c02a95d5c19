"""All crons that are here: by name, in order, and by when to look at each again."""

from magicqueue_cores.contract import NEVER_MS, TIME_MAX_MS
from magicqueue_cores.name_order import NameOrder
from magicqueue_cores.policies.cron_facts import Cron
from magicqueue_cores.policies.cron_plans import (
    CronPlan,
    decode_plan,
    decode_state,
    encode_plan,
    encode_state,
)
from magicqueue_cores.policies.ground import CRON, CRON_STATE, Ground
from magicqueue_cores.policies.moments import Clock, Moments
from magicqueue_cores.policies.schedules import (
    NEVER,
    BadCron,
    Calendars,
    Schedule,
    schedule_of,
)
from magicqueue_cores.policies.ticking import next_turn_ms


class CronTable:
    """Crons, as the facts of them tell, and what leads to each."""

    def __init__(self, ground: Ground, calendars: Calendars) -> None:
        self._calendars = calendars
        self._ground = ground
        self._changed = ground.crons_changed
        self._crons: dict[str, Cron] = {}
        self._names = NameOrder()
        self._turns: Moments[str] = Moments(Clock(), self._holds)

    def __len__(self) -> int:
        self._catch_up()
        return len(self._crons)

    @property
    def next_ms(self) -> int:
        """When to look at a cron again, by the wall clock, or a moment before. O(1)."""
        return 0 if self._changed else self._turns.next_ms

    def schedule_of(self, plan: CronPlan) -> Schedule:
        """Return the ticks that a cron is asked for. Raises `BadCron`."""
        return schedule_of(plan, self._calendars)

    def find(self, name: str) -> Cron | None:
        """Return a cron, None if there is no such."""
        self._catch_up()
        return self._crons.get(name)

    def page(self, count: int | None, after: str | None) -> list[Cron]:
        """Return the first `count` crons (None: all) behind a name, by name."""
        self._catch_up()
        return [self._crons[name] for name in self._names.page(count, after, "")]

    def due(self, wall_ms: int, most: int) -> list[Cron]:
        """Take out crons to be looked at by now, `most` at most, by (time, name)."""
        self._catch_up()
        due = [self._crons[name] for name in self._turns.due(wall_ms, most)]
        for cron in due:
            cron.turn_ms = NEVER_MS
        return due

    def add(self, cron: Cron) -> None:
        """Take in a cron with a new name."""
        self._crons[cron.name] = cron
        self._names.add(cron.name)

    def remove(self, cron: Cron) -> None:
        """Forget a cron, and its facts."""
        self._forget(cron)
        for space in (CRON, CRON_STATE):
            self._ground.drop(space, [key_of(cron.name)])
        self._settled()

    def keep(self, cron: Cron) -> None:
        """Record what a cron is from now on, and how far."""
        plan = encode_plan(cron.plan)
        self._ground.keep(CRON, {key_of(cron.name): (TIME_MAX_MS, plan)})
        self.keep_states([cron])

    def keep_states(self, crons: list[Cron]) -> None:
        """Record how far crons are."""
        facts = {
            key_of(cron.name): (TIME_MAX_MS, encode_state(cron.state)) for cron in crons
        }
        self._ground.keep(CRON_STATE, facts)
        self._settled()

    def wait(self, cron: Cron, turn_ms: int) -> None:
        """Look at a cron again at this moment, and not before; NEVER_MS: not at all."""
        if cron.turn_ms != turn_ms:
            if cron.turn_ms != NEVER_MS:
                cron.turn_ms = NEVER_MS
                self._turns.lose()
            cron.turn_ms = turn_ms
            if turn_ms != NEVER_MS:
                self._turns.add(turn_ms, cron.name)

    def check(self) -> None:
        """Verify every invariant: AssertionError names the first broken. O(n)."""
        self._catch_up()
        shelves = self._ground.shelves
        names = set(map(_name_of, shelves[CRON].keys()))
        assert names == self._crons.keys(), "crons are not those that facts tell of"
        states = set(map(_name_of, shelves[CRON_STATE].keys()))
        assert states == names, "states are not of the crons that are here"
        self._names.check(names)
        self._turns.check("turns of crons")
        waiting = 0
        for name, cron in self._crons.items():
            told = shelves[CRON].get(key_of(name), 0)
            assert told == encode_plan(cron.plan), f"cron {name!r}: another was recorded"
            told = shelves[CRON_STATE].get(key_of(name), 0)
            assert told == encode_state(cron.state), f"cron {name!r}: its state was not"
            waiting += cron.turn_ms != NEVER_MS
            late = cron.turn_ms > cron.run_ms and cron.tried_ms != cron.run_ms
            assert not late, f"cron {name!r} is looked at too late"
        assert waiting == self._turns.count, "turns of crons miscounted"

    def _catch_up(self) -> None:
        """Read what a replay changed."""
        if not self._changed:
            return
        changed = list(self._changed)
        self._changed.clear()
        plans, states = self._ground.shelves[CRON], self._ground.shelves[CRON_STATE]
        for key in changed:
            name, plan, state = _name_of(key), plans.get(key, 0), states.get(key, 0)
            before = self._crons.get(name)
            if before is not None:
                self._forget(before)
            if plan is not None and state is not None:
                asked = decode_plan(plan)
                cron = Cron(name, asked, decode_state(state), NEVER)
                try:
                    cron.schedule = self.schedule_of(asked)
                except BadCron as error:
                    cron.trouble = str(error)
                self.add(cron)
                self.wait(cron, next_turn_ms(cron))

    def _forget(self, cron: Cron) -> None:
        self.wait(cron, NEVER_MS)
        del self._crons[cron.name]
        self._names.remove(cron.name)

    def _settled(self) -> None:
        """What was recorded just now is known here."""
        self._changed.clear()
        self._ground.weigh()

    def _holds(self, at_ms: int, name: str) -> bool:
        cron = self._crons.get(name)
        return cron is not None and cron.turn_ms == at_ms


def key_of(name: str) -> bytes:
    """Return the key of a cron's facts."""
    return name.encode(errors="surrogatepass")


def _name_of(key: bytes) -> str:
    return key.decode(errors="surrogatepass")
