variable "TAG" {
  default = "dev"
}

group "default" {
  targets = ["app", "tools"]
}

target "_common" {
  platforms = ["linux/amd64", "linux/arm64"]
  labels = {
    "org.opencontainers.image.licenses" = "MIT"
  }
}

target "base" {
  inherits = ["_common"]
  context  = "base"
}

target "app" {
  inherits = ["_common"]
  name     = "app-${flavour}"
  matrix = {
    flavour = ["small", "full"]
  }
  context = "app"
  contexts = {
    base = "target:base"
  }
  args = {
    FLAVOUR = flavour
    BRACES  = "{kept}"
  }
  tags       = ["ghcr.io/acme/app:${flavour}-${TAG}"]
  cache-from = ["type=gha"]
  cache-to   = ["type=gha,mode=max"]
  attest     = ["type=provenance,mode=max"]
}

target "tools" {
  inherits   = ["_common"]
  dockerfile = "Dockerfile.tools"
  tags       = ["ghcr.io/acme/tools:${TAG}"]
  args = {
    NOTHING = null
  }
}

target "unused" {
  context = "app"
}
