# Yandex switched IoT Core off on 1 December 2026. A state of an earlier release may still hold these
# resources. Terraform forgets them without a request to their API, which answers no more:
# docs/deploying.md, "Leaving IoT Core".

removed {
  from = yandex_iot_core_registry.main

  lifecycle {
    destroy = false
  }
}

removed {
  from = yandex_iot_core_device.cabinet

  lifecycle {
    destroy = false
  }
}

removed {
  from = yandex_function_trigger.mqtt

  lifecycle {
    destroy = false
  }
}
