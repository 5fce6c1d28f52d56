"""May this client, sender, recipient? The restriction language of smtpd(8): gate.py asks, restrictions/ answers.

gate.py knows the order of the lists, evaluate.py keeps the books, restrictions/ has a function for every word,
access.py does what access(5) tables say, policy_servers.py asks servers outside, closed_relay.py looks at the lists
without running them.
"""

from posthouse.policy.closed_relay import closed_relay_check

__all__ = ["closed_relay_check"]
