"""A shop that mails who has ordered."""
