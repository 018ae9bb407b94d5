// Words for the members of enumerations, in the order of the model.

export const orderStatus = { Draft: "Draft", Placed: "Placed", Shipped: "On its way", Delivered: "Delivered", Cancelled: "Cancelled" };
export const customerKind = { Grocer: "Grocer", Cafe: "Café", Restaurant: "Restaurant", Hotel: "Hotel", Canteen: "Canteen or school" };
export const carrier = { OwnVan: "Our own van", Express: "Express parcel", Freight: "Road freight", Rail: "Rail" };

/** Regions by code; they hardly ever change, so they are read once. */
let regionsRead;
export function regions(get) {
  regionsRead ??= get("Regions", { select: "Code,Name", orderby: "Name" }).then(({ value }) => Object.fromEntries(value.map((region) => [region.Code, region.Name])), (error) => {
    regionsRead = undefined;
    throw error;
  });
  return regionsRead;
}
