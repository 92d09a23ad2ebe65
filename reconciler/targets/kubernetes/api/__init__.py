"""Speaking to the API server: who may (kubeconfig, credentials), how (connections, TLS, pacing, retries), and what its answers mean."""
