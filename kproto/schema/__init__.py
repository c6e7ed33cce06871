"""Messages declared once for all versions (declare), compiled into flat codecs (compile), shown (explain)."""
