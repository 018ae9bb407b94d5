// Products: what there is, and what has to be bought.

import { element } from "./dom.js";
import { money, plainNumber } from "./format.js";
import { listView } from "./list.js";
import { text } from "./odata.js";
import { sees } from "./session.js";

const stock = { low: "To be ordered", none: "Out of stock" };

export function productList({ parameters }) {
  return listView({
    path: "products", collection: "Products", title: "Products", noun: ["product", "products"],
    searchLabel: "Name or article number",
    select: "Sku,Name,Unit,Price,Cost,Stock,ReorderAt,Discontinued", expand: "Category($select=Code,Name)",
    sort: { name: "name", descending: false },
    filters: [{ name: "stock", label: "Stock", kind: "choice", choices: sees("Products", "ReorderAt") ? stock : { none: stock.none }, needs: "Stock" }],
    filter({ q, stock: wanted }) {
      return [
        sees("Products", "Discontinued") && "Discontinued eq false",
        wanted === "low" && sees("Products", "ReorderAt") && "Stock le ReorderAt",
        wanted === "none" && "Stock eq 0",
        q && `(contains(tolower(Name),${text(q.toLowerCase())}) or startswith(Sku,${text(q.toUpperCase())}))`,
      ].filter(Boolean).join(" and ");
    },
    columns: [
      { label: "Number", name: "number", sort: "Sku", role: "lead", cell: (row) => row.Sku },
      { label: "Name", name: "name", sort: "Name", role: "main", cell: (row) => element("span", { class: "strong" }, row.Name) },
      { label: "Category", name: "category", sort: "Category/Name", needs: "Category", cell: (row) => row.Category?.Name },
      { label: "Price", name: "price", sort: "Price", numeric: true, cell: (row) => money(row.Price) },
      { label: "Cost", name: "cost", sort: "Cost", numeric: true, cell: (row) => (row.Cost === null ? "–" : money(row.Cost)) },
      { label: "In stock", name: "stock", sort: "Stock", numeric: true, role: "sum", cell: (row) => [plainNumber(row.Stock), row.Stock <= row.ReorderAt && [" ", element("span", { class: "tag" }, row.Stock === 0 ? stock.none : stock.low)]] },
    ],
  }, parameters);
}
