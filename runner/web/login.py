"""Who is logged in: opaque sessions kept here, one-time links, and a brake on guessing."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from irkit.clock import Clock
from irkit.model.principal import check_principal, is_person

_MOST_CLIENTS = 4096
_MOST_FORMS = 256
_WINDOW = timedelta(minutes=1)


@dataclass(kw_only=True)
class Session:
    """One logged-in browser: whose it is, until when, and the token its forms must carry."""

    person: str
    ends: datetime
    csrf: str
    _spent: OrderedDict[str, None] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """The person's name, without `person:`."""
        return self.person.removeprefix("person:")

    def spend(self, form: str) -> bool:
        """Whether this form is sent for the first time; a second press of a button is not."""
        with self._lock:
            if form in self._spent:
                return False
            self._spent[form] = None
            while len(self._spent) > _MOST_FORMS:
                self._spent.popitem(last=False)
            return True

    def unspend(self, form: str) -> None:
        """Allow the form once more: what it asked for failed."""
        with self._lock:
            self._spent.pop(form, None)


class Login:
    """Opens, finds and ends sessions.  Only hashes of what a browser shows are kept.

    Sessions live in memory: a restart logs everybody out.  A one-time link works once and for
    `link_minutes`; a session for `hours`.  Each client may fail `tries` times a minute.

    Example:
        >>> from irkit.clock import SystemClock
        >>> login = Login(SystemClock())
        >>> cookie = login.trade(login.once("person:oncall"))
        >>> login.find(cookie).person
        'person:oncall'
    """

    def __init__(
        self, clock: Clock, *, hours: float = 12, link_minutes: float = 15, tries: int = 10
    ) -> None:
        self.clock, self.tries = clock, tries
        self.lasts, self._link_lasts = timedelta(hours=hours), timedelta(minutes=link_minutes)
        self._sessions: dict[str, Session] = {}
        self._links: dict[str, tuple[str, datetime]] = {}
        self._failures: OrderedDict[str, deque[datetime]] = OrderedDict()
        self._lock = threading.Lock()

    # -- sessions -------------------------------------------------------------------------------

    def once(self, person: str) -> str:
        """A token for a link that logs `person` in, once.

        Raises:
            BadInput: not a principal.
            ValueError: not a person.
        """
        if not is_person(check_principal(person)):
            raise ValueError(f"only a person logs in, not {person}")
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._forget_old()
            self._links[_hash(token)] = (person, self.clock.now() + self._link_lasts)
        return token

    def trade(self, once: str) -> str | None:
        """The cookie of a new session for a one-time token; None if it is used, old or unknown."""
        with self._lock:
            person, ends = self._links.pop(_hash(once), ("", None))
        if ends is None or ends <= self.clock.now():
            return None
        return self.open(person)

    def open(self, person: str) -> str:
        """Open a session for a person who has shown who they are; the cookie's text."""
        cookie = secrets.token_urlsafe(32)
        session = Session(
            person=person, ends=self.clock.now() + self.lasts, csrf=secrets.token_urlsafe(24)
        )
        with self._lock:
            self._forget_old()
            self._sessions[_hash(cookie)] = session
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The session that a cookie belongs to, or None."""
        with self._lock:
            session = self._sessions.get(_hash(cookie)) if cookie else None
        return session if session and session.ends > self.clock.now() else None

    def close(self, cookie: str) -> None:
        """Log out."""
        with self._lock:
            self._sessions.pop(_hash(cookie), None)

    def _forget_old(self) -> None:
        now = self.clock.now()
        self._sessions = {k: s for k, s in self._sessions.items() if s.ends > now}
        self._links = {k: link for k, link in self._links.items() if link[1] > now}

    # -- guessing -------------------------------------------------------------------------------

    def wait(self, client: str) -> int:
        """How many seconds a client must wait before its next try; 0 if it may try now."""
        with self._lock:
            failures = self._failures.get(client)
            if failures is None:
                return 0
            now = self.clock.now()
            while failures and failures[0] <= now - _WINDOW:
                failures.popleft()
            if len(failures) < self.tries:
                return 0
            return max(1, round((failures[0] + _WINDOW - now).total_seconds()))

    def failed(self, client: str) -> None:
        """Note that a client showed a token that is nobody's."""
        with self._lock:
            failures = self._failures.setdefault(client, deque(maxlen=self.tries))
            failures.append(self.clock.now())
            self._failures.move_to_end(client)
            while len(self._failures) > _MOST_CLIENTS:
                self._failures.popitem(last=False)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
