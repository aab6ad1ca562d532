# The log's key in the transit engine: signing with it, and nothing else; neither reading, exporting, rotating nor deleting it.

path "${mount}/sign/${key}" {
  capabilities = ["update"]
  allowed_parameters = {
    "input"       = []
    "key_version" = []
  }
}
