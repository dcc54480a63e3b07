"""Signing in through an OpenID provider: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0)."""
