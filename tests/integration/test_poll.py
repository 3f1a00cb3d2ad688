from tests.service import Service


def test_x(service: Service) -> None:
    service.add_cabinet(charges=[98,90,None,40])
    b=service.book(2); print(b)
    print(service.unlock(b))
    service.take(1)
    print(service.get("/v1/cabinets")); print(service.get("/v1/stats"))
    print(service.get("/v1/accumulators/C-1.A-1/movements"))
    print(service.anomalies())
    service.check_invariants()
    print(service.poll(), service.queue.published)
    print(service.call("GET","/v1/health"))
