"""What is in the mail: asks SpamAssassin's spamd and ClamAV's clamd, and decides as amavisd does."""
