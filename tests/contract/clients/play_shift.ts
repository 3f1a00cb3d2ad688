// A technician's shift with the generated types and the cabinet's control interface.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };
const [url, key, controlUrl, technician] = process.argv.slice(2) as [string, string, string, string];
const headers = { Authorization: `Bearer ${key}` };
const client = createClient<paths>({ baseUrl: url, headers });

function check(holds: boolean, found: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(found));
}

async function act(cabinetId: string, action: string, body: object): Promise<void> {
  const address = `${controlUrl}/cabinets/${cabinetId}/${action}`;
  const response = await fetch(address, { method: "POST", body: JSON.stringify(body) });
  check(response.ok, await response.text());
}

async function bag(): Promise<string[]> {
  const query = { contractor_id: technician };
  const { data, error } = await client.GET("/v1/accumulators", { params: { query } });
  check(data !== undefined, error);
  return data.accumulators.map((one) => one.accumulator_id);
}

const me = await client.GET("/v1/me");
check(me.data?.scope === "backend", me.error);
const query = { near: "55.7558,37.6173", online: true, min_available: 2 };
const found = await client.GET("/v1/cabinets", { params: { query } });
const cabinetId = found.data?.cabinets[0]?.cabinet_id;
check(cabinetId !== undefined, found.error);

async function book(kind: "issue" | "return", count: number) {
  const body = { cabinet_id: cabinetId!, contractor_id: technician, kind, count };
  return client.POST("/v1/bookings", { body: { ...body, allow_partial: false } });
}

async function unlock(booking: components["schemas"]["Booking"]) {
  const path = { booking_id: booking.booking_id };
  const params = { path, header: { "Idempotency-Key": booking.booking_id } };
  const { data, error } = await client.POST("/v1/bookings/{booking_id}/unlock", { params });
  check(data !== undefined, error);
  return data;
}

const refused = await book("issue", 50);
check(refused.error?.code === "not_enough_accumulators", refused.data);
check(refused.error.requested === 50, refused.error); // narrowed by its code

const issued = (await book("issue", 1)).data;
check(issued !== undefined, "the booking failed");
const opened = await unlock(issued);
check(opened.status === "completed", opened);
const taken = opened.cells[0]!.cell_number;
await act(cabinetId, "take", { cell: taken, by: technician });
await act(cabinetId, "close", { cell: taken });
const charged = await bag();
check(charged[0] === issued.cells[0]?.accumulator_id, charged);

const flat = `F-${technician}`;
const swap = await client.POST("/v1/swaps", {
  body: {
    scooter_id: `S-${technician}`,
    contractor_id: technician,
    installed_accumulator_id: charged[0]!,
    removed_accumulator_id: flat,
    removed_battery_charge: 7,
    reconcile: false,
  },
});
check(swap.data?.removed?.contractor_id === technician, swap.error);
check((await bag()).join() === flat, await bag());

const returned = (await book("return", 1)).data;
check(returned !== undefined, "the booking failed");
check((await unlock(returned)).status === "returning", returned);
const cell = returned.cells[0]!.cell_number;
await act(cabinetId, "insert", { cell, accumulator: flat, charge: 7 });
await act(cabinetId, "close", { cell });
const params = { path: { booking_id: returned.booking_id } };
const deadline = Date.now() + 10_000;
for (;;) {
  const { data } = await client.GET("/v1/bookings/{booking_id}", { params });
  if (data?.status === "completed") break;
  check(Date.now() < deadline, data);
  await new Promise((resolve) => setTimeout(resolve, 50));
}
check((await bag()).length === 0, await bag());
console.log("TypeScript client: shift completed");
