resource "yandex_logging_group" "main" {
  name             = local.name
  retention_period = "${var.log_days * 24}h0m0s"
}

locals {
  metrics = {
    product   = "folderId=\"${var.folder_id}\", service=\"custom\""
    functions = "folderId=\"${var.folder_id}\", service=\"serverless-functions\""
    gateway   = "folderId=\"${var.folder_id}\", service=\"serverless-apigateway\", gateway=\"${yandex_api_gateway.main.id}\""
    queue     = "folderId=\"${var.folder_id}\", service=\"message-queue\""
  }

  # Two charts per row. poll_cabinets writes the product's metrics every minute (shared/services/stats.py);
  # the platform writes the others.
  charts = [
    { title = "Accumulators in each cabinet", query = "\"cabinet_accumulators\"{${local.metrics.product}}" },
    { title = "Accumulators available for booking in each cabinet", query = "\"cabinet_available\"{${local.metrics.product}}" },
    { title = "Mean charge in each cabinet, %", query = "\"cabinet_charge_mean\"{${local.metrics.product}}" },
    { title = "Lowest charge in each cabinet, %", query = "\"cabinet_charge_min\"{${local.metrics.product}}" },
    { title = "Accumulators with each contractor", query = "\"contractor_accumulators\"{${local.metrics.product}}" },
    { title = "Accumulators by place", query = "\"accumulators\"{${local.metrics.product}}" },
    { title = "Commands by outcome", query = "\"commands\"{${local.metrics.product}}" },
    { title = "Bookings by outcome", query = "\"bookings\"{${local.metrics.product}}" },
    { title = "Anomalies by kind", query = "\"anomalies\"{${local.metrics.product}}" },
    { title = "Webhooks: age of the oldest undelivered event, s", query = "\"webhook_lag_seconds\"{${local.metrics.product}}" },
    { title = "Cabinets' reply time, ms: median, p99, maximum", query = "{${local.metrics.product}, name=\"answer_*_ms\"}" },
    { title = "Requests per second, by status", query = "series_sum(\"code\", \"api_gateway.requests_count_per_second\"{${local.metrics.gateway}})" },
    { title = "Failed requests per second, by status", query = "series_sum(\"code\", \"api_gateway.errors_count_per_second\"{${local.metrics.gateway}})" },
    {
      title = "Mean response time at the gateway, ms"
      query = join(" / ", [
        "series_sum(\"api_gateway.requests_latency_milliseconds_sum\"{${local.metrics.gateway}})",
        "series_sum(\"api_gateway.requests_latency_milliseconds_count\"{${local.metrics.gateway}})",
      ])
    },
    { title = "Maximum run time of each function, ms", query = "\"functions_max_duration\"{${local.metrics.functions}}" },
    { title = "Mean run time of each function, ms", query = "\"functions_avg_duration\"{${local.metrics.functions}}" },
    { title = "Rows written to the database per second", query = "non_negative_derivative(\"database_rows_written\"{${local.metrics.product}})" },
    { title = "Concurrent calls, by function", query = "\"functions_inflight\"{${local.metrics.functions}}" },
    { title = "Throttled calls, by function", query = "\"functions_throttles\"{${local.metrics.functions}}" },
    { title = "Failed calls, by function", query = "\"functions_errors\"{${local.metrics.functions}}" },
    { title = "Dead letters (all queues of the folder)", query = "\"queue.messages.stored_count\"{${local.metrics.queue}}" },
  ]
}

resource "yandex_monitoring_dashboard" "main" {
  name        = local.name
  title       = "Accumulators and cabinets"
  description = "Accumulators, commands, and the health of the service."

  dynamic "widgets" {
    for_each = local.charts
    content {
      position {
        x = widgets.key % 2 * 18
        y = floor(widgets.key / 2) * 8
        w = 18
        h = 8
      }
      chart {
        chart_id       = "chart-${widgets.key}"
        title          = widgets.value.title
        display_legend = true
        queries {
          target {
            query     = widgets.value.query
            text_mode = true
          }
          downsampling { # all arguments are set, because each plan would show an omitted one as a change
            gap_filling      = "GAP_FILLING_UNSPECIFIED"
            grid_aggregation = "GRID_AGGREGATION_AVG"
            max_points       = 500
          }
        }
        visualization_settings {
          type        = "VISUALIZATION_TYPE_LINE"
          interpolate = "INTERPOLATE_LINEAR"
        }
      }
    }
  }
}
