"""The proof against chance: what it calls closed is never got through, and what it calls open is."""

from __future__ import annotations

import os
from collections import Counter

from random_policies import RandomPolicy, is_let_in

from posthouse.policy.proof import State, prove_service
from posthouse.policy.proof.supposed import SupposedDns, supposed_probe
from posthouse.rewrite.trivial_rewrite import TrivialRewrite
from posthouse.services.house import House
from posthouse.system.log import MemorySink

ROUNDS = int(os.environ.get("POSTHOUSE_PROOFS", "200"))
SESSIONS = 60


def proof_of(policy: RandomPolicy):
    house = House(policy.settings, (), MemorySink(), dns=SupposedDns(), verify=supposed_probe)
    house.rewriter = TrivialRewrite(policy.settings, house)
    return prove_service("smtp", policy.settings, house)


def test_no_stranger_gets_through_what_was_proved_closed(tmp_path):
    states: Counter[State] = Counter()
    let_in = 0
    for number in range(ROUNDS):
        policy = RandomPolicy(number, tmp_path)
        proof = proof_of(policy)
        states[proof.state] += 1
        assert proof.state is State.CLOSED or proof.reason
        gates = [policy.gate() for _ in range(3)]
        for request in policy.strangers(SESSIONS):
            for gate in gates:
                if is_let_in(gate, request):
                    let_in += 1
                    assert proof.state is not State.CLOSED, f"{number}: {request}\n{policy.text}"
                    named = proof.state is State.NAMED
                    assert not named or request.recipient != "nobody@far.com", f"{number}: {request}\n{policy.text}"
    assert let_in
    assert min(states[State.CLOSED], states[State.OPEN]) >= ROUNDS // 10
    print(f"{ROUNDS} configurations: {dict(states)}, {let_in} of {ROUNDS * SESSIONS * 3} sessions let in")
