# One OpenBao with TLS and storage of its own; not dev mode. Somebody initialises it and, after each start, unseals it by hand.
# One node is no high availability: a broker whose OpenBao is away issues nothing, and what it issued ends by itself.

storage "raft" {
  path    = "/var/lib/openbao"
  node_id = "one"
}

listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "0.0.0.0:8201"
  tls_cert_file   = "/run/secrets/openbao-certificate"
  tls_key_file    = "/run/secrets/openbao-key"
}

audit "file" "main" {
  options {
    file_path = "/var/log/openbao/audit.log"
    mode      = "0640"
  }
}

api_addr     = "https://openbao:8200"
cluster_addr = "https://openbao:8201"
