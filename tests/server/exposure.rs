//! What the network sees of it: TLS, proxies, origins.
