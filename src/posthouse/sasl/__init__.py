"""Who a client is: one file per smtpd_sasl_type (SASL_README)."""
