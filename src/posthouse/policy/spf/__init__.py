"""SPF (RFC 7208): may this client send for that domain? The evaluation is pyspf's, the questions go to our resolver.

evaluation.py asks, options.py reads policyd-spf.conf, decision.py says what becomes of the mail and header.py writes it
down (both pure), and policy_server.py is policyd-spf with its protocol.
"""
