terraform {
  required_version = ">= 1.11" # write-only arguments

  required_providers {
    yandex = {
      source  = "yandex-cloud/yandex"
      version = "0.222.0"
    }
  }
}

# Credentials come from the environment: YC_TOKEN (an IAM or OAuth token) or YC_SERVICE_ACCOUNT_KEY_FILE.
provider "yandex" {
  cloud_id  = var.cloud_id
  folder_id = var.folder_id
  zone      = keys(var.zones)[0]
}
