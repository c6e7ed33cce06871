"""Who may do what: the operations that answers name; authorizers and SASL will stand here."""
