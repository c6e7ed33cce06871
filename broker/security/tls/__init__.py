"""TLS: whose keys and certificates, which versions and cipher suites, and who a client is by its certificate.

| module | what |
|---|---|
| `stores` | key stores and trust stores, PEM and PKCS12, told by their content |
| `memory_files` | a key for OpenSSL, without a file that has it |
| `contexts` | settings (`broker/config/tls_settings.py`) as an `ssl.SSLContext`, and when to make it again |
| `cipher_suites` | Java's names of cipher suites in OpenSSL's words |
| `der` | what of a certificate is looked at: subject, names, the end of its time |
| `distinguished_names` | a subject as Java writes it |
| `principal_mapping` | `ssl.principal.mapping.rules` |

Bytes on a connection are `broker/network/tls.py`. Nothing here is loaded by a broker without a TLS listener.
"""
