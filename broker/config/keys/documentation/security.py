"""Sentences for the keys in `keys/security.py`."""

from typing import Final

TEXT: Final = """
authorizer.class.name: The class that decides which client may do what; without one every client may do everything.
delegation.token.expiry.check.interval.ms: How often delegation tokens are looked through for expired ones.
delegation.token.expiry.time.ms: How long a delegation token is valid if it is not renewed.
delegation.token.max.lifetime.ms: How long a delegation token can be renewed for.
delegation.token.secret.key: Secret with which delegation tokens are made and checked, the same on all nodes.
principal.builder.class: The class that names the principal of a connection.
sasl.client.callback.handler.class: Class that answers the questions of SASL when the broker is the client.
sasl.enabled.mechanisms: SASL mechanisms that clients may log in with.
sasl.jaas.config: Login modules with their options, in the notation of Java's JAAS.
sasl.kerberos.kinit.cmd: Command that renews Kerberos tickets.
sasl.kerberos.min.time.before.relogin: Shortest time from one renewal of a Kerberos ticket to the next.
sasl.kerberos.principal.to.local.rules: Rules that shorten Kerberos principals to names, the first that fits.
sasl.kerberos.service.name: Name of the Kerberos principal that the broker runs as.
sasl.kerberos.ticket.renew.jitter: Random share added to the time of renewing a Kerberos ticket.
sasl.kerberos.ticket.renew.window.factor: Share of a Kerberos ticket's life after which it is renewed.
sasl.login.callback.handler.class: Class that answers the questions of a SASL login.
sasl.login.class: Class that performs a SASL login.
sasl.login.connect.timeout.ms: Longest wait for a connection to an authentication provider.
sasl.login.read.timeout.ms: Longest wait for the answer of an authentication provider.
sasl.login.refresh.buffer.seconds: How long before its end a credential is renewed at the latest.
sasl.login.refresh.min.period.seconds: Shortest time from one renewal of a credential to the next.
sasl.login.refresh.window.factor: Share of a credential's life after which it is renewed.
sasl.login.refresh.window.jitter: Random share added to the time of renewing a credential.
sasl.login.retry.backoff.max.ms: Longest pause before an authentication provider is asked again.
sasl.login.retry.backoff.ms: First pause before an authentication provider is asked again.
sasl.mechanism.controller.protocol: SASL mechanism for talking to controllers.
sasl.mechanism.inter.broker.protocol: SASL mechanism for talking to other brokers.
sasl.oauthbearer.allow.unverified.audience: Whether tokens are taken without a look at their audience.
sasl.oauthbearer.allow.unverified.issuer: Whether tokens are taken without a look at their issuer.
sasl.oauthbearer.assertion.algorithm: Algorithm with which assertions for OAuth are signed.
sasl.oauthbearer.assertion.claim.aud: Audience named in those assertions.
sasl.oauthbearer.assertion.claim.exp.seconds: How long such an assertion is valid.
sasl.oauthbearer.assertion.claim.iss: Issuer named in those assertions.
sasl.oauthbearer.assertion.claim.jti.include: Whether each assertion has an id of its own.
sasl.oauthbearer.assertion.claim.nbf.seconds: How far back an assertion's validity begins, for clocks that disagree.
sasl.oauthbearer.assertion.claim.sub: Subject named in those assertions.
sasl.oauthbearer.assertion.file: File with an assertion made elsewhere.
sasl.oauthbearer.assertion.private.key.file: File with the key that signs assertions.
sasl.oauthbearer.assertion.private.key.passphrase: Passphrase of that key.
sasl.oauthbearer.assertion.template.file: File with headers and claims that assertions begin from.
sasl.oauthbearer.client.credentials.client.id: Client id for OAuth's grant by client credentials.
sasl.oauthbearer.client.credentials.client.secret: Secret that goes with that client id.
sasl.oauthbearer.clock.skew.seconds: How far the clocks of broker and identity provider may disagree.
sasl.oauthbearer.expected.audience: Audiences of which a token must name one.
sasl.oauthbearer.expected.issuer: Issuer that a token must name.
sasl.oauthbearer.jwks.endpoint.refresh.ms: How often the keys of the identity provider are fetched again.
sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms: Longest pause before those keys are asked for again.
sasl.oauthbearer.jwks.endpoint.retry.backoff.ms: First pause before those keys are asked for again.
sasl.oauthbearer.jwks.endpoint.url: Where the keys of the identity provider are found.
sasl.oauthbearer.jwt.retriever.class: Class that gets tokens.
sasl.oauthbearer.jwt.validator.class: Class that checks tokens.
sasl.oauthbearer.scope: Scope to ask for with a token.
sasl.oauthbearer.scope.claim.name: Claim of a token that holds its scope.
sasl.oauthbearer.sub.claim.name: Claim of a token that holds its subject.
sasl.oauthbearer.token.endpoint.url: Where tokens are issued.
sasl.server.callback.handler.class: Class that answers the questions of SASL when the broker is the server.
sasl.server.max.receive.size: Most bytes that a client may send before it is logged in.
security.inter.broker.protocol: What brokers speak among themselves, where no listener is named for it.
security.providers: Classes that create providers of Java's security algorithms.
ssl.allow.dn.changes: Whether a new key store may name another subject.
ssl.allow.san.changes: Whether a new key store may name other subject alternatives.
ssl.cipher.suites: Cipher suites allowed with TLS; none named leaves it to the library.
ssl.client.auth: Whether clients must, may or need not show a certificate: required, requested, none.
ssl.enabled.protocols: Versions of TLS that are allowed.
ssl.endpoint.identification.algorithm: How a server's name is compared with its certificate; empty does not.
ssl.engine.factory.class: Class that creates TLS engines.
ssl.key.password: Password of the private key.
ssl.keymanager.algorithm: Algorithm of Java's key manager.
ssl.keystore.certificate.chain: The certificate chain itself, in PEM.
ssl.keystore.key: The private key itself, in PEM.
ssl.keystore.location: File with the private key and its certificate.
ssl.keystore.password: Password of that file.
ssl.keystore.type: Format of that file.
ssl.principal.mapping.rules: Rules that make names of certificates' subjects, the first that fits.
ssl.protocol: Version of TLS that contexts are created with.
ssl.provider: Java's security provider for TLS.
ssl.secure.random.implementation: Java's source of random numbers for TLS.
ssl.trustmanager.algorithm: Algorithm of Java's trust manager.
ssl.truststore.certificates: The trusted certificates themselves, in PEM.
ssl.truststore.location: File with the trusted certificates.
ssl.truststore.password: Password of that file.
ssl.truststore.type: Format of that file.
"""
