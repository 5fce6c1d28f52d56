"""Whether a configuration lets strangers relay, found without running it: smtpd's restrictions, reasoned over.

strangers.py says who a stranger is, contents.py what a table holds, outcomes.py what a rule may answer him, ways.py how
he might get through a list. relay.py puts these together for a service: where no way is left the relay is closed; where
one is, a candidate plays the session against the real gate (supposed.py), and dialogue.py shows it.
"""

from posthouse.policy.proof.relay import Proof, State, prove_service

__all__ = ["Proof", "State", "prove_service"]
