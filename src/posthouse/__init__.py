"""Posthouse, a mail server that runs on an existing Postfix configuration.

Mail's way through the house:
  receive    takes it in: smtpd (SMTP), pickup (what `sendmail` dropped)
  policy     says whether it may come in: restrictions, access tables
  cleanup    makes it fit: missing headers, rewriting, aliases, checks
  queue      keeps it, durably, until it is delivered; qmgr decides when and where
  rewrite    says where an address belongs: class, transport, next hop
  deliver    brings it to its place: local, virtual, smtp, lmtp, pipe, discard, error
  bounce     tells the sender when it cannot be
Beside the way: lookup (tables), sasl, filters, backstage (anvil, verify, flush ...).
The house itself: master (processes), commands (what the administrator types).
The ground: services (the joints between stages), config, maillog, protocols, mail (the nouns), system.
"""

__version__ = "0.1.0"
